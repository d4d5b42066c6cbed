"""The client: its commands, many callers at once, and what a caller's mistake does to nobody else."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import Unavailable
from common.lifecycle import aclose_all
from common.redis.batching import MAX_WAITING_BYTES
from common.redis.client import RedisClient, redis_client, require
from common.redis.config import RedisConfig
from common.redis.errors import CommandRefused, InvalidTTL, InvalidValue, Overloaded, WrongType

if TYPE_CHECKING:
    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer


async def exercise(client: RedisClient) -> None:
    await client.set("k", "v", ex=100)
    assert await client.get("k") == "v"
    assert 98 <= await client.ttl("k") <= 100
    assert await client.expire("k", 5)
    assert 4 <= await client.ttl("k") <= 5
    assert await client.exists("k")
    assert [await client.incr("n"), await client.incr("n"), await client.decr("n")] == [1, 2, 1]
    assert 3590 < await client.ttl("n") <= 3600
    assert await client.delete("k", "n", "m") == 2
    assert await client.get("k") is None
    assert not await client.exists("k")
    assert not await client.expire("k", 5)
    assert await client.ttl("k") == -2


async def test_the_named_commands(client: RedisClient) -> None:
    await exercise(client)


async def test_the_named_commands_on_the_double(mock_redis: RedisClient) -> None:
    await exercise(mock_redis)


async def test_each_named_command_costs_one_round_trip_and_one_command_or_two_that_count(
    client: RedisClient, count: Count
) -> None:
    for operation, commands in (
        (client.get("k"), 1),
        (client.set("k", "v"), 1),
        (client.exists("k"), 1),
        (client.expire("k", 9), 1),
        (client.ttl("k"), 1),
        (client.delete("k"), 1),
        (client.incr("n"), 2),  # a counter ends some day, too
        (client.decr("n"), 2),
        (client.ping(), 1),
    ):
        async with count() as spent:
            await operation
        assert (spent.commands, spent.round_trips) == (commands, 1), spent


async def test_what_is_set_ends_some_day(client: RedisClient) -> None:
    await client.set("k", "v")
    assert 3590 < await client.ttl("k") <= 3600


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e12, True])
async def test_a_time_to_live_that_is_none_is_refused_before_anything_is_sent(
    client: RedisClient, ttl: float, count: Count
) -> None:
    async with count() as spent:
        with pytest.raises(InvalidTTL, match="time to live"):
            await client.set("k", "v", ex=ttl)
        with pytest.raises(InvalidTTL):
            await client.expire("k", ttl)
    assert spent.commands == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "NoneType"),
        (True, "bool"),
        ([1], "list"),
        (float("nan"), "finite"),
        ("\ud800", "surrogates"),
        ("x" * 10_000_001, "10000000 bytes"),
    ],
)
async def test_what_redis_cannot_store_is_refused(client: RedisClient, value: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        await client.set("k", value)
    assert await client.get("k") is None


@pytest.mark.parametrize("value", ["", "ü ₹ \r\n $5", "x" * 1_000_000, 7, -1, 0.1])
async def test_values_come_back(client: RedisClient, value: Any) -> None:
    await client.set("k", value)
    assert await client.get("k") == str(value)


async def test_bytes_come_back_raw_and_are_refused_as_text(client: RedisClient) -> None:
    await client.set("k", b"\x00\xff\r\n")
    assert await client.execute("GET", "k", raw=True) == b"\x00\xff\r\n"
    with pytest.raises(InvalidValue, match="raw=True"):
        await client.get("k")
    assert await client.exists("k")


@pytest.mark.parametrize(
    "command",
    [("BLPOP", "l", 0), ("xread", "BLOCK", 0, "STREAMS", "s", "$"), ("MULTI",), ("SELECT", 1), ("subscribe", "c")],
)
async def test_what_would_hold_up_or_change_everybodys_connection_is_refused(
    client: RedisClient, command: tuple[Any, ...]
) -> None:
    with pytest.raises(ValueError, match="shared connection"):
        await client.execute(*command)


async def test_one_callers_mistake_does_not_touch_its_neighbours(client: RedisClient) -> None:
    await client.execute("RPUSH", "list", 1)
    replies = await asyncio.gather(
        client.incr("a"), client.get("list"), client.execute("NOSUCH"), client.incr("a"), return_exceptions=True
    )
    assert replies[0] == 1
    assert isinstance(replies[1], WrongType)
    assert isinstance(replies[2], CommandRefused)
    assert replies[2].code == "ERR"
    assert replies[3] == 2
    assert client.statistics.connections == 1


async def test_callers_of_one_turn_leave_in_one_write(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        assert await asyncio.gather(*(client.incr("n") for _ in range(64))) == list(range(1, 65))
    assert (spent.commands, spent.round_trips) == (128, 1), spent


async def test_a_thousand_mixed_calls_on_one_connection(client: RedisClient) -> None:
    before = client.statistics.connections
    numbers = random.Random(7)  # noqa: S311 - the same every time

    async def one(number: int) -> None:
        await asyncio.sleep(numbers.random() / 20)
        key = f"k{number}"
        kind = number % 5
        if kind == 0:
            await client.set(key, number)
            assert await client.get(key) == str(number)
        elif kind == 1:
            await client.incr("total")
        elif kind == 2:
            replies = await client.pipeline([("SET", key, number), ("GET", key), ("LPUSH", key, 1)])
            assert replies[:2] == ["OK", str(number)]
            assert isinstance(replies[2], WrongType)
        elif kind == 3:
            assert require(await client.pipeline([("SET", key, 1), ("INCR", key)], transaction=True)) == ["OK", 2]
        else:
            assert len(await client.execute("ECHO", "x" * (number * 50))) == number * 50

    await asyncio.gather(*(one(number) for number in range(1000)))
    assert await client.get("total") == "200"
    assert client.statistics.connections == before == 1


async def test_a_caller_that_gives_up_in_a_batch_gets_nobodys_answer(client: RedisClient) -> None:
    for attempt in range(50):
        tasks = [asyncio.create_task(client.execute("ECHO", number)) for number in range(20)]
        await asyncio.sleep(0)  # all are queued
        if attempt % 2:
            await asyncio.sleep(0)  # and written
        for number in range(0, 20, 3):
            tasks[number].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        for number, reply in enumerate(replies):
            assert isinstance(reply, asyncio.CancelledError) if number % 3 == 0 else reply == str(number)
    assert client.statistics.connections == 1


async def test_a_caller_that_gives_up_before_the_write_sends_nothing(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        task = asyncio.create_task(client.incr("n"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert spent.commands == 0


async def test_more_than_memory_should_hold_is_refused(client: RedisClient) -> None:
    size = 8_000_000
    calls = [client.set("k", "x" * size) for _ in range(MAX_WAITING_BYTES // size + 2)]
    replies = await asyncio.gather(*calls, return_exceptions=True)
    refused = [reply for reply in replies if reply is not None]
    assert len(refused) >= 2
    assert all(isinstance(reply, Overloaded) and isinstance(reply, Unavailable) for reply in refused)
    await client.ping()


async def test_everybody_shares_one_client_and_may_go_on_after_closing_it(client: RedisClient) -> None:
    assert redis_client() is client
    await RedisClient().set("k", "v")
    assert client.statistics.connections == 1
    await client.aclose()
    assert await client.get("k") == "v"
    assert client.statistics.connections == 2


def test_one_client_object_works_on_one_loop_after_the_other(redis_server: RedisServer) -> None:
    shared = RedisClient(RedisConfig(redis_server.full_url))

    async def use() -> int:
        try:
            return await shared.incr("loops")
        finally:
            await shared.aclose()
            await aclose_all()

    first = asyncio.run(use())
    assert [asyncio.run(use()) for _ in range(3)] == [first + 1, first + 2, first + 3]


def test_loops_in_many_threads_have_connections_of_their_own(redis_server: RedisServer) -> None:
    shared = RedisClient(RedisConfig(redis_server.full_url))

    async def use(key: str) -> tuple[list[int], int]:
        try:
            counted = await asyncio.gather(*(shared.incr(key) for _ in range(50)))
            return counted, shared.statistics.connections
        finally:
            await shared.aclose()

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(asyncio.run, use(f"loop-{number}")) for number in range(8)]
        assert [one.result() for one in running] == [(list(range(1, 51)), 1)] * 8


async def test_each_loop_has_one_client(client: RedisClient) -> None:
    async def of_another_loop() -> RedisClient:
        assert redis_client() is redis_client()
        return redis_client()

    assert await asyncio.to_thread(asyncio.run, of_another_loop()) is not client
