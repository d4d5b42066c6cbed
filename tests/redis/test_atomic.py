"""Counters and values that are replaced in one step."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Unavailable
from common.redis.atomic import MAX_INTEGER, AtomicOperations
from common.redis.client import RedisClient
from common.redis.errors import InvalidTTL, InvalidValue, NotANumber, OutcomeUnknown, OutOfRange, WrongType
from tests.redis.counting import keys_without_end
from tests.redis.faults import faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer

ATOMIC = AtomicOperations()


async def exercise(client: RedisClient) -> None:
    assert await ATOMIC.increment("n") == 1
    assert await ATOMIC.increment("n", 41) == 42
    assert await ATOMIC.decrement("n") == 41
    assert await ATOMIC.decrement("n", 50) == -9
    assert await ATOMIC.increment("n", 0) == -9
    assert await ATOMIC.compare_and_set("v", None, "a")
    assert not await ATOMIC.compare_and_set("v", None, "b")
    assert not await ATOMIC.compare_and_set("v", "x", "b")
    assert await ATOMIC.compare_and_set("v", "a", "b")
    assert not await ATOMIC.compare_and_set("missing", "a", "b")
    assert await ATOMIC.get_and_set("v", "c") == "b"
    assert await ATOMIC.get_and_set("new", 7) is None
    assert await client.get("new") == "7"
    assert not await client.exists("missing")


async def test_what_they_do(client: RedisClient) -> None:
    await exercise(client)
    assert await keys_without_end(client) == set()


async def test_what_they_do_on_the_double(mock_redis: RedisClient) -> None:
    await exercise(mock_redis)
    assert await keys_without_end(mock_redis) == set()


async def test_each_costs_one_round_trip(client: RedisClient, count: Count, redis_server: RedisServer) -> None:
    compared = {"valkey": 1, "redis": 3}[redis_server.kind]
    await client.set("v", "a")
    for operation, commands in (
        (ATOMIC.increment("n"), 2),
        (ATOMIC.increment("n", 5), 2),
        (ATOMIC.decrement("n"), 2),
        (ATOMIC.compare_and_set("new", None, "a"), 1),
        (ATOMIC.compare_and_set("v", "a", "b"), compared),
        (ATOMIC.get_and_set("v", "c"), 1),
    ):
        async with count() as spent:
            await operation
        assert (spent.commands, spent.round_trips) == (commands, 1), spent


async def test_a_counter_keeps_its_end_and_a_value_gets_a_new_one(client: RedisClient) -> None:
    with Timeline(client) as time:
        await ATOMIC.increment("n", ttl=100)
        await ATOMIC.get_and_set("v", "a", ttl=100)
        await ATOMIC.compare_and_set("w", None, "a", ttl=100)
        await time.advance(60)
        assert await ATOMIC.decrement("n", ttl=100) == 0
        assert await ATOMIC.increment("n", ttl=100) == 1  # from 0, as a new one does
        await ATOMIC.get_and_set("v", "b", ttl=100)
        await ATOMIC.compare_and_set("w", "a", "b", ttl=100)
        assert [35 < await client.ttl(key) <= 40 for key in "nvw"] == [True, False, False]
        assert [95 < await client.ttl(key) <= 100 for key in "nvw"] == [False, True, True]
        await time.advance(41)
        assert await ATOMIC.increment("n") == 1
        assert 3590 < await client.ttl("n") <= 3600


async def test_a_counter_that_ended_within_the_step_ends_too(client: RedisClient) -> None:
    async def ending(_: RedisClient, steps: Any) -> list[Any]:
        made = await client.execute(*steps[0])
        await client.delete("n")
        return [made, await client.execute(*steps[1])]

    await ATOMIC.increment("n")
    with patch.object(RedisClient, "pipeline", ending):  # Redis offers no such moment to a test
        assert await ATOMIC.increment("n") == 1
    assert await client.get("n") == "1"
    assert await keys_without_end(client) == set()


async def test_nothing_is_lost_among_many(client: RedisClient) -> None:
    assert sorted(await asyncio.gather(*(ATOMIC.increment("n") for _ in range(200)))) == list(range(1, 201))
    await client.set("v", "start")
    won = await asyncio.gather(*(ATOMIC.compare_and_set("v", "start", number) for number in range(50)))
    assert won.count(True) == 1
    seen = await asyncio.gather(*(ATOMIC.get_and_set("w", number) for number in range(50)))
    assert {*seen, await client.get("w")} == {None, *map(str, range(50))}


@pytest.mark.parametrize(("start", "amount"), [(MAX_INTEGER, 1), (-MAX_INTEGER, -2), (MAX_INTEGER, MAX_INTEGER)])
async def test_a_counter_stays_within_its_64_bits(client: RedisClient, start: int, amount: int) -> None:
    assert await ATOMIC.increment("n", start) == start
    with pytest.raises(OutOfRange, match="stays as it was"):
        await ATOMIC.increment("n", amount)
    assert await client.get("n") == str(start)


@pytest.mark.parametrize("amount", [2**63, -(2**63), 1.0, True, "1", None])
async def test_what_cannot_be_added_is_refused_unsent(client: RedisClient, count: Count, amount: Any) -> None:
    async with count() as spent:
        for operation in (ATOMIC.increment, ATOMIC.decrement):
            with pytest.raises(InvalidValue, match="64 bits"):
                await operation("n", amount)
    assert spent.commands == 0


async def test_what_is_no_number_or_no_text_is_left_alone(client: RedisClient) -> None:
    await client.set("text", "a")
    with pytest.raises(NotANumber):
        await ATOMIC.increment("text")
    await client.execute("RPUSH", "list", "a")
    for operation in (
        ATOMIC.increment("list"),
        ATOMIC.compare_and_set("list", "a", "b"),
        ATOMIC.get_and_set("list", "b"),
    ):
        with pytest.raises(WrongType):
            await operation
    assert await client.get("text") == "a"
    assert await client.execute("LRANGE", "list", 0, -1) == ["a"]
    assert await client.ttl("list") == -1  # it is somebody else's, and does not end because of us


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
async def test_everything_ends_some_day(client: RedisClient, ttl: float) -> None:
    for operation in (
        ATOMIC.increment("n", ttl=ttl),
        ATOMIC.decrement("n", ttl=ttl),
        ATOMIC.compare_and_set("n", None, "v", ttl=ttl),
        ATOMIC.compare_and_set("n", "a", "v", ttl=ttl),
        ATOMIC.get_and_set("n", "v", ttl=ttl),
    ):
        with pytest.raises(InvalidTTL):
            await operation
    assert not await client.exists("n")


async def test_nothing_is_done_twice_when_an_answer_is_lost(client: RedisClient) -> None:
    with faults("answer lost", "answer lost", "answer lost"):
        for operation in (
            ATOMIC.increment("n"),
            ATOMIC.compare_and_set("v", None, "a"),
            ATOMIC.get_and_set("w", "a"),
        ):
            with pytest.raises(OutcomeUnknown):
                await operation
    assert [await client.get(key) for key in "nvw"] == ["1", "a", "a"]
    with faults("not sent"), pytest.raises(Unavailable):
        await ATOMIC.increment("n")
    assert await client.get("n") == "1"


async def test_what_was_added_is_told_though_its_end_is_in_doubt(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    await ATOMIC.increment("n", 0)
    with faults("ok", "not sent"):
        assert await ATOMIC.increment("n") == 1
    assert "a counter may have no end" in caplog.text
    assert await client.get("n") == "1"


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-MAX_INTEGER, MAX_INTEGER), max_size=8))
async def test_a_counter_is_exact_to_the_last_bit(client: RedisClient, amounts: list[int]) -> None:
    await client.delete("n")
    total = 0
    for amount in amounts:
        if -MAX_INTEGER - 1 <= total + amount <= MAX_INTEGER:
            total += amount
            assert await ATOMIC.increment("n", amount) == total
        else:
            with pytest.raises(OutOfRange):
                await ATOMIC.increment("n", amount)
    assert int(await client.get("n") or 0) == total
    assert await keys_without_end(client) == set()


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", ""]), st.sampled_from(["a", "b", ""])), max_size=8))
async def test_compare_and_set_is_a_compare_and_a_set(client: RedisClient, steps: list[tuple[str | None, str]]) -> None:
    await client.delete("v")
    value: str | None = None
    for expected, new in steps:
        assert await ATOMIC.compare_and_set("v", expected, new) == (value == expected)
        value = new if value == expected else value
        assert await client.get("v") == value
