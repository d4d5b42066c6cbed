"""Budgets: never exceeded by any number of works at once, and nothing is held for ever."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from common import ids
from common.errors import InvalidInput
from common.lifecycle import aclose_all
from common.redis import keys
from common.redis.errors import Overloaded
from common.redis.moments import to_ms
from common.redis.spending import MAX_ENTRIES, REMEMBERED, SKEW, Balance, OverBudget, Reservation, SpendingBudget
from tests.redis.counting import keys_without_end
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

NOTHING, CENT, ONE = Decimal(0), Decimal("0.01"), Decimal(1)


async def reserve(amount: Decimal = CENT, *, limit: Decimal = ONE, spent: Decimal = NOTHING) -> Reservation:
    return await SpendingBudget().reserve("u", amount, limit=limit, spent=spent, seconds=60)


async def test_what_is_reserved_is_spent_or_given_back(client: RedisClient) -> None:
    budget = SpendingBudget()
    first, second = await reserve(Decimal("0.4")), await reserve(Decimal("0.6"))
    with pytest.raises(OverBudget, match=r"0\.000000 US dollars"):
        await reserve()
    assert await budget.commit(first, Decimal("0.1"))
    assert await budget.balance("u") == Balance(Decimal("0.1"), Decimal("0.6"))
    assert await budget.refund(second)
    assert not await budget.refund(second)
    with pytest.raises(OverBudget) as refused:
        await reserve(Decimal("0.91"))
    assert refused.value.left == Decimal("0.9")
    await reserve(Decimal("0.9"))
    assert not await keys_without_end(client)


async def test_what_operations_cost(client: RedisClient, count: Count) -> None:
    budget = SpendingBudget()
    async with count() as spent:
        held = await reserve(ONE)
    assert (spent.commands, spent.round_trips) == (3, 1), spent
    async with count() as spent:
        with pytest.raises(OverBudget):
            await reserve()
    assert (spent.commands, spent.round_trips) == (2, 1), spent
    async with count() as spent:
        await budget.balance("u")
    assert (spent.commands, spent.round_trips) == (1, 1), spent
    for operation, commands in (
        (budget.commit(held, CENT), 3),
        (budget.commit(held, CENT), 2),
        (budget.refund(held), 2),
    ):
        async with count() as spent:
            assert await operation == (commands == 3)
        assert (spent.commands, spent.round_trips) == (commands, 1), spent
    held = await reserve()
    async with count() as spent:
        assert await budget.refund(held)
    assert (spent.commands, spent.round_trips) == (3, 1), spent


async def test_a_hundred_at_once_never_exceed_it(client: RedisClient) -> None:
    """Four event loops in four threads, each with a connection of its own."""
    granted: list[Reservation] = []

    async def race() -> None:
        try:
            results = await asyncio.gather(*(reserve(Decimal("0.03")) for _ in range(25)), return_exceptions=True)
            granted.extend(result for result in results if isinstance(result, Reservation))
            assert all(isinstance(result, Reservation | OverBudget) for result in results)
        finally:
            await aclose_all()

    threads = [threading.Thread(target=asyncio.run, args=(race(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(granted) == 33


async def test_a_reservation_of_a_process_that_died_ends_by_itself(client: RedisClient) -> None:
    with Timeline(client) as time:
        held = await reserve(ONE)
        time.now = held.ends_at + SKEW - timedelta(milliseconds=1)
        with pytest.raises(OverBudget):
            await reserve()
        time.step(0.001)
        assert not await SpendingBudget().refund(held)
        await reserve()
        assert await SpendingBudget().commit(held, ONE), "what was spent counts all the same"
        assert await SpendingBudget().balance("u") == Balance(ONE, CENT)


async def test_what_redis_lost_is_not_spent_again(client: RedisClient) -> None:
    held = await reserve(ONE)
    await client.execute("FLUSHALL")
    with pytest.raises(OverBudget):
        await reserve(Decimal("0.3"), spent=Decimal("0.8"))
    await SpendingBudget().commit(held, ONE)
    with pytest.raises(OverBudget):
        await reserve(spent=Decimal("0.8"))


async def test_a_reservation_that_is_sent_twice_is_held_once(client: RedisClient) -> None:
    """As the client sends it when the connection was lost before the answer came."""
    one = UUID(int=1)
    with ids.sequence(iter([one, one])):
        assert await reserve(ONE) != await reserve(ONE), "made at different moments"
    assert await SpendingBudget().balance("u") == Balance(NOTHING, ONE)


async def test_a_raised_limit_counts_at_once(client: RedisClient) -> None:
    await reserve(ONE)
    await reserve(ONE, limit=Decimal(2))


async def test_a_reservation_belongs_to_the_month_that_it_was_made_in(client: RedisClient) -> None:
    with Timeline(client) as time:
        time.now = datetime(2026, 11, 30, 18, 29, 59, tzinfo=UTC)
        held = await reserve(ONE)
        time.step(2)
        await SpendingBudget().commit(held, ONE)
        assert await SpendingBudget().balance("u") == Balance(NOTHING, NOTHING)
        assert (await client.get(keys.budget("u", "2026-11")) or "").startswith("1000000;")
        await reserve(ONE)


async def test_one_users_reservations_are_bounded(client: RedisClient) -> None:
    with Timeline(client) as time:
        held = await reserve(Decimal("0.0001"))
        key, ends = keys.budget("u", held.period), to_ms(held.ends_at)
        others = "".join(f";other-{number} {ends} 100" for number in range(MAX_ENTRIES - 1))
        await client.execute("SET", key, f"{await client.get(key)}{others}", "KEEPTTL")
        with pytest.raises(Overloaded):
            await reserve(Decimal("0.0001"))
        await SpendingBudget().commit(held, NOTHING)
        with pytest.raises(Overloaded):
            await reserve(Decimal("0.0001"))
        time.step(REMEMBERED.total_seconds())
        await reserve(Decimal("0.0001"))


@pytest.mark.parametrize("wrong", [Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal(10**7), 0.5, 1, None])
async def test_nonsense_is_refused_before_anything_is_sent(client: RedisClient, count: Count, wrong: Any) -> None:
    held = await reserve()
    async with count() as spent:
        for amounts in ((wrong, ONE, NOTHING), (CENT, wrong, NOTHING), (CENT, ONE, wrong), (NOTHING, ONE, NOTHING)):
            with pytest.raises(InvalidInput):
                await reserve(amounts[0], limit=amounts[1], spent=amounts[2])
        with pytest.raises(InvalidInput):
            await SpendingBudget().commit(held, wrong)
        for seconds in (0, -1, float("nan")):
            with pytest.raises(InvalidInput):
                await SpendingBudget().reserve("u", CENT, limit=ONE, spent=NOTHING, seconds=seconds)
    assert spent.commands == 0


async def test_on_the_double(mock_redis: RedisClient) -> None:
    held = await reserve(ONE)
    with pytest.raises(OverBudget):
        await reserve()
    assert await SpendingBudget().commit(held, CENT)
    assert await SpendingBudget().refund(await reserve())
    assert await SpendingBudget().balance("u") == Balance(CENT, NOTHING)
