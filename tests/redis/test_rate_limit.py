"""Sliding windows (R82): exact to the millisecond, at the fewest commands, and nothing half-written."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from common import clock
from common.lifecycle import aclose_all
from common.redis import RateLimitService, keys
from common.redis.rate_limit_config import get_limit
from common.redis.rate_limit_local import MAX_REFUSED
from common.redis.rate_limit_models import Limit, RateLimitResult
from tests.redis.counting import keys_without_end
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

ENDPOINT = "/api/v1/agents/execute"
MILLISECOND = timedelta(milliseconds=1)


async def check(limit: int = 3, window: float = 60, *, cost: int = 1, user: str = "u") -> RateLimitResult:
    return await RateLimitService().check_limit(user, ENDPOINT, limit, window, cost=cost)


async def test_within_limit(client: RedisClient) -> None:
    with Timeline(client) as time:
        first = await check()
        assert (first.allowed, first.remaining, first.reset_at) == (True, 2, START + timedelta(seconds=60))
        time.step(7)
        second = await check()
        assert (second.allowed, second.remaining, second.reset_at) == (True, 1, first.reset_at)
        assert (second.reset_after, second.degraded) == (53, False)
    assert not await keys_without_end(client)


async def test_exceeded_limit(client: RedisClient) -> None:
    with Timeline(client) as time:
        assert [(await check()).remaining for _ in range(3)] == [2, 1, 0]
        time.step(20)
        refused = await check()
        assert (refused.allowed, refused.remaining, refused.reset_at) == (False, 0, START + timedelta(seconds=60))
        assert (await check(user="v")).allowed


async def test_limit_reset(client: RedisClient) -> None:
    """The moment that a refusal names is the first one at which the same request is allowed."""
    with Timeline(client) as time:
        for _ in range(3):
            await check()
            time.step(0.5)
        reset = (await check()).reset_at
        time.now = reset - MILLISECOND
        assert not (await check()).allowed
        time.now = reset
        assert (await check()).allowed
        assert not (await check()).allowed


async def test_sliding_window(client: RedisClient) -> None:
    """A burst at the end of one minute and one at the beginning of the next are in the same minute."""
    with Timeline(client) as time:
        time.step(59)
        assert all([(await check()).allowed for _ in range(3)])
        time.step(2)
        assert not (await check()).allowed
        time.step(57.999)
        assert not (await check()).allowed
        time.step(0.001)
        assert all([(await check()).allowed for _ in range(3)])


async def test_a_window_that_has_passed_leaves_nothing(client: RedisClient) -> None:
    with Timeline(client) as time:
        await check()
        await time.advance(60)
        assert await client.execute("DBSIZE") == 0


async def test_a_check_costs_three_commands_a_refusal_two_and_the_next_one_none(
    client: RedisClient, count: Count
) -> None:
    for expected in (3, 3, 3, 2, 0, 0):
        async with count() as spent:
            await check()
        assert (spent.commands, spent.round_trips) == (expected, min(1, expected)), spent


async def test_what_the_other_operations_cost(client: RedisClient, count: Count) -> None:
    service = RateLimitService()
    async with count() as spent:
        await service.peek("u", ENDPOINT, 3, 60)
    assert (spent.commands, spent.round_trips) == (1, 1), spent
    async with count() as spent:
        await service.record_request("u", ENDPOINT)
    assert (spent.commands, spent.round_trips) == (3, 1), spent
    several = [Limit("u", ENDPOINT, 3, 60), Limit("w", ENDPOINT, 5, 60), Limit("u", "daily", 9, 86_400)]
    async with count() as spent:
        taken = await service.check_limits(several)
    assert (spent.commands, spent.round_trips) == (7, 1), spent
    async with count() as spent:
        assert await service.refund(taken) == 3
    assert (spent.commands, spent.round_trips) == (7, 1), spent
    await check(1, 60, user="w")
    async with count() as spent:
        await service.check_limits([several[0], Limit("w", ENDPOINT, 1, 60)])
    assert (spent.commands, spent.round_trips) == (3, 1), spent


async def test_a_refusal_is_believed_while_it_cannot_have_changed_and_not_for_long(
    client: RedisClient, count: Count
) -> None:
    with Timeline(client) as time:
        await check(1)
        await check(1)
        await client.execute("FLUSHALL")  # as if another process had given it back
        time.step(MAX_REFUSED.total_seconds() - 0.001)
        assert not (await check(1)).allowed
        assert (await check(2)).allowed, "a higher limit is another question"
        await check(2)
        await check(2)
        time.step(-3600)
        async with count() as spent:
            assert not (await check(2)).allowed
        assert spent.commands == 2, "a clock that was set back knows nothing"


async def test_weights(client: RedisClient) -> None:
    with Timeline(client) as time:
        assert (await check(10, cost=4)).remaining == 6
        time.step(1)
        assert (await check(10, cost=5)).remaining == 1
        refused = await check(10, cost=7)
        assert (refused.allowed, refused.remaining) == (False, 1)
        assert refused.reset_at == START + timedelta(seconds=61), "the four are not enough"
        assert (await check(10, cost=5)).reset_at == START + timedelta(seconds=60)
        assert (await check(10, cost=1)).allowed


async def test_a_refund_gives_back_what_was_taken_and_only_once(client: RedisClient) -> None:
    service = RateLimitService()
    with Timeline(client) as time:
        first = await check(3, cost=2)
        await time.advance(1)
        second = await check(3)
        await time.advance(10)
        assert not (await check(3)).allowed
        assert await service.refund(first) == 2
        assert await service.refund(first) == 0
        looked = await service.peek("u", ENDPOINT, 3, 60)
        assert (looked.remaining, looked.reset_at) == (2, START + timedelta(seconds=61))
        assert 45 < await client.ttl(second.taken[0].key) <= 50, "it lives no longer for it"
        time.step(50)
        assert (await check(3)).allowed
        assert await service.refund(second) == 0, "it has left the window"
        assert (await service.peek("u", ENDPOINT, 3, 60)).remaining == 2
    assert not await keys_without_end(client)


async def test_a_refund_finds_what_a_clock_that_is_behind_has_taken(client: RedisClient) -> None:
    with Timeline(client) as time:
        await check(3)
        time.step(-10)
        late = await check(3)
        assert await RateLimitService().refund(late) == 1
        assert (await RateLimitService().peek("u", ENDPOINT, 3, 60)).remaining == 2


async def test_several_limits_are_taken_from_all_or_from_none(client: RedisClient) -> None:
    service = RateLimitService()
    minute, day = Limit("u", ENDPOINT, 2, 60), Limit("u", ENDPOINT, 3, 86_400)
    with Timeline(client) as time:
        assert (await service.check_limits([minute, day])).remaining == 1
        assert (await service.check_limits([minute, day])).remaining == 0
        refused = await service.check_limits([minute, day])
        assert (refused.reset_at, refused.limit) == (START + timedelta(seconds=60), 2)
        assert (await service.peek("u", ENDPOINT, 3, 86_400)).remaining == 1, "nothing was taken from the day"
        time.step(60)
        assert (await service.check_limits([minute, day])).allowed
        refused = await service.check_limits([minute, day])
        assert (refused.reset_at, refused.limit) == (START + timedelta(days=1), 3)


async def test_a_clock_that_was_far_ahead_does_no_lasting_harm(client: RedisClient) -> None:
    with Timeline(client) as time:
        time.step(365 * 86_400)
        await check()
        time.step(-365 * 86_400)
        await check()
        await time.advance(20)
        await check()
        await time.advance(20)
        refused = await check()
        assert (refused.allowed, refused.reset_after) == (False, 60)
        await time.advance(40)
        assert (await check()).remaining == 2


async def test_requests_are_counted_without_being_refused_and_without_filling_memory(client: RedisClient) -> None:
    service, (limit, window) = RateLimitService(), get_limit(ENDPOINT, "free")
    with Timeline(client) as time:
        for _ in range(limit + 2):
            await service.record_request("u", ENDPOINT)
            time.step(0.001)
        looked = await service.peek("u", ENDPOINT, limit, window)
        assert (looked.allowed, looked.remaining) == (False, 0)
        assert looked.reset_at == START + timedelta(seconds=window, milliseconds=2)
        assert looked == await check(limit, window), "the script and the reader agree"
        for _ in range(1200):
            time.step(0.001)
            await service.record_request("u", ENDPOINT)
        assert await client.execute("STRLEN", keys.rate_window("u", ENDPOINT, window * 1000)) == 10 + 23 * 1000
        oldest_first = time.now - timedelta(milliseconds=999)
        assert (await check(1000)).reset_at == oldest_first + timedelta(seconds=window)


async def test_a_high_limit_is_kept_in_little_memory(client: RedisClient) -> None:
    with Timeline(client) as time:
        for _ in range(250):
            assert (await check(5000, cost=20)).allowed
            time.step(0.24)
    assert await client.execute("STRLEN", keys.rate_window("u", ENDPOINT, 60_000)) == 10 + 23 * 100


async def test_never_more_than_the_limit_by_many_at_once(client: RedisClient) -> None:
    """Four event loops in four threads, each with a connection of its own."""
    allowed: list[bool] = []

    async def hammer() -> None:
        try:
            results = await asyncio.gather(*(check(50, cost=1 + number % 2) for number in range(60)))
            allowed.extend(result.allowed for result in results for _ in result.taken for _ in range(_units(result)))
        finally:
            await aclose_all()

    threads = [threading.Thread(target=asyncio.run, args=(hammer(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(allowed) in {49, 50}, "two may not fit into the one that is left"
    assert all(allowed)


def _units(result: RateLimitResult) -> int:
    return sum(taken.units for taken in result.taken)


async def test_on_the_double(mock_redis: RedisClient) -> None:
    service = RateLimitService()
    first = await check(2)
    assert [first.allowed, (await check(2)).allowed, (await check(2)).allowed] == [True, True, False]
    assert await service.refund(first) == 1
    assert (await service.peek("u", ENDPOINT, 2, 60)).remaining == 1
    assert clock.now() < (await check(2)).reset_at
