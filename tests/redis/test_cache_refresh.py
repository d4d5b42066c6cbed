"""A missing value is made once, one that is about to end is made anew by one, and nobody waits in vain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from common.redis import CacheService
from common.redis.cache_refresh import Pace
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from tests.redis.cache_work import SLOT, W, Work, read, start
from tests.redis.faults import Died, faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer


@pytest.fixture
async def other(client: RedisClient, redis_server: RedisServer) -> AsyncIterator[CacheService]:
    """What another process is to us: a client of its own, nothing in common."""
    made = RedisClient(RedisConfig(redis_server.full_url))
    await made.ping()
    yield CacheService(made)
    await made.aclose()


async def test_concurrent_callers_share_one_run_and_its_error(client: RedisClient) -> None:
    cache, work = CacheService(), Work(ValueError("no"))
    calls = [start(cache.get_or_set(W, "k", work, 60)) for _ in range(20)]
    await work.running.wait()
    late = start(cache.get_or_set(W, "k", work, 60))  # sees the lease of the run, so joins it
    await asyncio.sleep(0.05)
    work.go.set()
    outcomes = await asyncio.gather(*calls, late, return_exceptions=True)
    assert [str(error) for error in outcomes] == ["no"] * 21
    assert work.begun == 1
    assert await read(client) is None, "the lease is given back"
    assert await cache.get_or_set(W, "k", lambda: "well", 60) == "well"


async def test_a_cancelled_caller_leaves_the_work_to_the_others(client: RedisClient) -> None:
    cache, work = CacheService(), Work()
    first, second = (start(cache.get_or_set(W, "k", work, 60)) for _ in range(2))
    await work.running.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.go.set()
    assert await second == 1
    assert work.cancelled == 0
    assert await cache.get(W, "k") == 1


async def test_the_last_caller_takes_the_work_with_him(client: RedisClient) -> None:
    cache, work = CacheService(), Work()
    calls = [start(cache.get_or_set(W, "k", work, 60)) for _ in range(3)]
    await work.running.wait()
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await asyncio.sleep(0.05)
    assert work.cancelled == 1
    assert await read(client) is None, "the lease is given back"
    work.go.set()
    assert await cache.get_or_set(W, "k", work, 60) == 2


async def test_a_cancelled_read_is_done_by_another(client: RedisClient, count: Count) -> None:
    cache = CacheService()
    await cache.set(W, "k", 1)
    first, second = (start(cache.get(W, "k")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_no_read_is_shared_with_who_asks_after_it_left(client: RedisClient, other: CacheService) -> None:
    cache, arrived, go = CacheService(), asyncio.Event(), asyncio.Event()
    await cache.set(W, "k", "old")
    execute = RedisClient.execute

    async def slow(self: RedisClient, *command: Any, **options: Any) -> Any:
        reply = await execute(self, *command, **options)
        arrived.set()
        await go.wait()
        return reply

    with patch.object(RedisClient, "execute", slow):
        first = start(cache.get(W, "k"))
        await arrived.wait()
    await other.delete(W, "k")
    assert await cache.get(W, "k") is None
    go.set()
    assert await first == "old"


CHANGES: list[Callable[[CacheService], Awaitable[None]]] = [
    lambda cache: cache.delete(W, "k"),
    lambda cache: cache.clear_workspace(W),
    lambda cache: cache.invalidate_tag(W, "t"),
    lambda cache: cache.set(W, "k", "set", tags=["t"]),
]


@pytest.mark.parametrize("change", CHANGES, ids=["delete", "clear", "tag", "set"])
@pytest.mark.parametrize("by_another", [False, True])
async def test_what_is_made_of_older_data_is_neither_stored_nor_given_to_later_callers(
    client: RedisClient, other: CacheService, change: Callable[[CacheService], Awaitable[None]], by_another: bool
) -> None:
    cache, old, new = CacheService(), Work(), Work()
    early = start(cache.get_or_set(W, "k", old, 60, tags=["t"]))
    await old.running.wait()
    await change(other if by_another else cache)
    is_set = change is CHANGES[-1]
    late = start(cache.get_or_set(W, "k", new, 60, tags=["t"]))
    await (late if is_set else new.running.wait())
    old.go.set()
    assert await early == 1
    new.go.set()
    assert await late == await cache.get(W, "k") == await other.get(W, "k") == ("set" if is_set else 1)
    assert await cache.get_or_set(W, "k", lambda: "never", 60, tags=["t"]) == await late


async def test_another_process_waits_and_costs_a_read_for_each_look(
    client: RedisClient, other: CacheService, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.redis.cache_refresh._FIRST_PAUSE_SECONDS", 0.8)
    cache, work = CacheService(), Work()
    leader = start(cache.get_or_set(W, "k", work, 60))
    await work.running.wait()
    async with count() as spent:
        followers = [start(other.get_or_set(W, "k", work, 60)) for _ in range(10)]
        assert await other.get(W, "k") is None, "a lease is no value"
        work.go.set()
        assert await asyncio.gather(leader, *followers) == [1] * 11
    assert spent.by_name["mget"] == 2, "at first, shared with the get, and after one pause"
    assert work.begun == 1


async def test_a_leader_that_dies_is_taken_over_from(client: RedisClient, other: CacheService) -> None:
    cache = CacheService(pace=Pace(lease=0.8))
    with faults("ok", "ok", "dies after"), pytest.raises(Died):
        await cache.get_or_set(W, "k", lambda: "never", 60)
    assert await read(client) is not None, "its lease lies there"
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await other.get_or_set(W, "k", lambda: "taken over", 60) == "taken over"
    assert loop.time() - began < 6, "when the lease ended, not when patience did"
    assert await cache.get(W, "k") == "taken over"


async def test_a_long_run_keeps_its_lease(client: RedisClient, other: CacheService) -> None:
    cache, work = CacheService(pace=Pace(lease=0.9)), Work()
    leader = start(cache.get_or_set(W, "k", work, 60))
    await work.running.wait()
    follower = start(other.get_or_set(W, "k", work, 60))
    before = now = await client.execute("PTTL", SLOT)
    while now <= before:  # until it is renewed
        await asyncio.sleep(0.01)
        before, now = now, await client.execute("PTTL", SLOT)
    assert work.begun == 1
    work.go.set()
    assert await leader == await follower == await cache.get(W, "k") == 1


async def test_who_has_no_patience_left_makes_the_value_and_stores_it(client: RedisClient, other: CacheService) -> None:
    cache, hangs = CacheService(), Work()
    leader = start(cache.get_or_set(W, "k", hangs, 60))
    await hangs.running.wait()
    hasty = CacheService(other._client, pace=Pace(patience=0.1))
    assert await hasty.get_or_set(W, "k", lambda: "mine", 60) == "mine"
    assert await other.get_or_set(W, "k", lambda: "never", 60) == "mine"
    hangs.go.set()
    assert await leader == 1
    assert await cache.get(W, "k") == "mine", "the first that is stored stays"
