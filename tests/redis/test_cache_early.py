"""A value that is about to end is made anew by one caller while the others are given the old one."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest

from common.redis import CacheService
from common.redis.cache_generations import Place
from common.redis.cache_refresh import Pace, Refresh
from common.redis.cache_store import cache_store
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from tests.redis.cache_work import SLOT, W, Work, read, start
from tests.redis.faults import Died, faults
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer

DELTA, TTL = 4.0, 100.0


@pytest.fixture
async def time(client: RedisClient) -> AsyncIterator[Timeline]:
    """Time, and a value "old" that took 4 s to make and has 96 of 100 s gone."""
    with Timeline(client) as made:

        async def slow() -> str:
            await made.advance(DELTA)
            return "old"

        assert await CacheService().get_or_set(W, "k", slow, TTL) == "old"
        await made.advance(TTL - DELTA)
        yield made


@pytest.fixture
async def other(client: RedisClient, redis_server: RedisServer) -> AsyncIterator[CacheService]:
    """Another process, that always wants to make a value anew."""
    made = RedisClient(RedisConfig(redis_server.full_url))
    await made.ping()
    yield CacheService(made, pace=eager())
    await made.aclose()


def eager(**pace: float) -> Pace:
    return Pace(draw=lambda: 0.999999, **pace)


def never() -> Any:
    raise AssertionError("it is not to be made")


@pytest.mark.parametrize(("draw", "early"), [(0.0, False), (1 - math.exp(-0.99), False), (1 - math.exp(-1.01), True)])
async def test_chance_decides_by_what_is_left_and_what_it_takes(time: Timeline, draw: float, early: bool) -> None:
    cache = CacheService(pace=Pace(draw=lambda: draw))
    assert await cache.get_or_set(W, "k", lambda: "new", TTL) == ("new" if early else "old")
    assert await cache.get(W, "k") == ("new" if early else "old")


async def test_as_many_callers_as_the_formula_says(client: RedisClient, time: Timeline) -> None:
    entry = await read(client)
    assert entry is not None
    draws = iter(number / 1000 for number in range(1000))
    refresh = Refresh(cache_store(client), Place.of(W, "k"), never, TTL, TTL, Pace(draw=lambda: next(draws)))
    due = sum(refresh.due(entry) for _ in range(1000))
    assert due == pytest.approx(1000 * math.exp(-1), abs=2), "P(delta * Exp(1) >= what is left), both 4 s"


async def test_it_costs_three_commands_and_nobody_else_waits(
    client: RedisClient, other: CacheService, time: Timeline, count: Count, redis_server: RedisServer
) -> None:
    cache, work = CacheService(pace=eager()), Work()
    cas = {"valkey": 1, "redis": 3}[redis_server.kind]
    async with count() as spent:
        maker = start(cache.get_or_set(W, "k", work, TTL))
        await work.running.wait()
    assert (spent.commands, spent.round_trips) == (1 + cas, 2)
    async with count() as spent:
        assert await cache.get_or_set(W, "k", never, TTL) == await other.get_or_set(W, "k", never, TTL) == "old"
    assert (spent.commands, spent.round_trips) == (2, 2)
    assert await cache.get(W, "k") == await other.get(W, "k") == "old"
    async with count() as spent:
        work.go.set()
        assert await maker == 1
    assert (spent.commands, spent.round_trips) == (cas, 1)
    assert await cache.get(W, "k") == await other.get(W, "k") == 1
    assert await client.ttl(SLOT) == TTL


async def test_when_the_old_value_ends_others_wait_for_the_new_one(
    client: RedisClient, other: CacheService, time: Timeline
) -> None:
    cache, work = CacheService(pace=eager()), Work()
    maker = start(cache.get_or_set(W, "k", work, TTL))
    await work.running.wait()
    await time.advance(4.1)
    assert await cache.get(W, "k") is None
    waiters = [start(service.get_or_set(W, "k", never, TTL)) for service in (cache, other)]
    await asyncio.sleep(0.02)
    work.go.set()
    assert await asyncio.gather(maker, *waiters) == [1, 1, 1]


async def test_a_failure_leaves_the_old_value_for_the_time_it_has(
    client: RedisClient, time: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CacheService(pace=eager())

    def fails() -> Any:
        raise ValueError("no")

    before = await client.execute("GET", SLOT, raw=True)
    with caplog.at_level(logging.WARNING):
        assert await cache.get_or_set(W, "k", fails, TTL) == "old"
    assert [record.message for record in caplog.records] == ["a cached value could not be made anew"]
    assert await client.execute("GET", SLOT, raw=True) == before, "the lease is given back"
    assert 0 <= await client.ttl(SLOT) <= 4

    async def fails_late() -> Any:
        await time.advance(4.1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await cache.get_or_set(W, "k", fails_late, TTL)
    assert not await client.exists(SLOT)


async def test_who_dies_making_it_anew_holds_nobody_up(
    client: RedisClient, other: CacheService, time: Timeline
) -> None:
    with faults("ok", "ok", "dies before"), pytest.raises(Died):
        await CacheService(pace=eager(lease=5)).get_or_set(W, "k", lambda: "never", TTL)
    assert await other.get_or_set(W, "k", never, TTL) == "old"
    await time.advance(4.0)
    assert await client.exists(SLOT), "the lease lies there a little longer"
    assert await other.get(W, "k") is None
    await time.advance(5)
    assert await other.get_or_set(W, "k", lambda: "new", TTL) == "new"


@pytest.mark.parametrize("change", ["delete", "clear_workspace"])
async def test_what_is_cleared_meanwhile_does_not_come_back(
    client: RedisClient, other: CacheService, time: Timeline, change: str
) -> None:
    cache, work = CacheService(pace=eager()), Work()
    maker = start(cache.get_or_set(W, "k", work, TTL))
    await work.running.wait()
    await (other.delete(W, "k") if change == "delete" else other.clear_workspace(W))
    work.go.set()
    assert await maker == 1
    assert await cache.get(W, "k") is await other.get(W, "k") is None


async def test_with_redis_gone_the_old_value_is_enough(client: RedisClient, time: Timeline) -> None:
    cache = CacheService(pace=eager())
    with faults("ok", "not sent"):
        assert await cache.get_or_set(W, "k", never, TTL) == "old"
    with faults("ok", "ok", "not sent"):
        assert await cache.get_or_set(W, "k", lambda: "new", TTL) == "new"
    entry = await read(client)
    assert entry is not None
    assert entry.lease
    assert entry.stale_at == START.timestamp() + DELTA + TTL
