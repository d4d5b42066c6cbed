"""What the cache does where Redis fails, or holds what the cache did not write."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from common.errors import Unavailable
from common.redis import CacheService, keys
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from tests.redis.cache_work import SLOT, W, read
from tests.redis.faults import Died, Fate, faults

if TYPE_CHECKING:
    from tests.redis.servers import RedisServer


async def test_redis_being_down_costs_time_and_nothing_else(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CacheService()
    await cache.set(W, "k", "kept")
    with (
        caplog.at_level(logging.WARNING),
        faults("not sent", "not sent", "not sent", "not sent", "not sent", "not sent"),
    ):
        assert await cache.get(W, "k") is None
        assert await cache.get_or_set(W, "k", lambda: "made", 60) == "made"
        assert await asyncio.gather(*(cache.get_or_set(W, "k", lambda: "made", 60) for _ in range(3))) == ["made"] * 3
        assert await cache.get_or_set(W, "k", lambda: "made", 60) == "made"
        assert await cache.get(W, "k") == "kept"
    assert [record.message for record in caplog.records] == ["the cache cannot be used"], "once"
    assert cache.statistics.unavailable == 6
    assert cache.statistics.computed == 3
    for operation in (
        cache.set(W, "k", 1),
        cache.delete(W, "k"),
        cache.clear_workspace(W),
        cache.invalidate_tag(W, "t"),
    ):
        with faults("not sent"), pytest.raises(Unavailable):
            await operation
    assert await cache.get(W, "k") == "kept"


async def test_a_server_that_dies_stands_still_and_comes_back(own_server: RedisServer) -> None:
    own_server.start()
    client = RedisClient(RedisConfig(own_server.full_url, connect_timeout=0.5, command_timeout=0.5))
    cache = CacheService(client)
    assert await cache.get_or_set(W, "k", lambda: "made", 60) == "made"
    own_server.freeze()
    assert await cache.get(W, "k") is None
    assert await cache.get_or_set(W, "k", lambda: "without", 60) == "without"
    own_server.thaw()
    assert await cache.get(W, "k") == "made"
    own_server.kill()
    assert await cache.get(W, "k") is None
    assert await cache.get_or_set(W, "k", lambda: "without", 60) == "without"
    with pytest.raises(Unavailable):
        await cache.set(W, "k", "set")
    own_server.start()
    assert await cache.get(W, "k") is None
    assert await cache.get_or_set(W, "k", lambda: "again", 60) == await cache.get(W, "k") == "again"
    await client.aclose()


@pytest.mark.parametrize("lost", range(4))
async def test_a_lost_answer_costs_nobody_his_value(client: RedisClient, lost: int) -> None:
    cache = CacheService()
    fates: list[Fate] = ["ok"] * lost
    with faults(*fates, "answer lost"):  # of the read, the generation, the lease, the value
        assert await cache.get_or_set(W, "k", lambda: "made", 60) == "made"
    assert await cache.get(W, "k") == ("made" if lost >= 2 else None)
    assert await cache.get_or_set(W, "k", lambda: "made", 60) == "made"


@pytest.mark.parametrize("dies", range(4))
@pytest.mark.parametrize("when", ["dies before", "dies after"])
async def test_a_death_between_two_commands_leaves_a_value_or_a_lease_that_ends(
    client: RedisClient, dies: int, when: Fate
) -> None:
    cache = CacheService()
    fates: list[Fate] = ["ok"] * dies
    with faults(*fates, when), pytest.raises(Died):
        await cache.get_or_set(W, "k", lambda: "made", 60)
    value = "made" if (dies, when) == (3, "dies after") else None
    assert await cache.get(W, "k") == value
    entry = await read(client)
    assert (entry is not None) == (dies == 3 or (dies, when) == (2, "dies after"))
    if entry is not None and value is None:
        assert entry.lease
        assert 0 < await client.ttl(SLOT) <= 6


DAMAGED = [
    b"",
    b"nonsense",
    b"\x80\x04N.",  # a pickle
    b'1 zlib 0.0 0.0  {"":"<generation>"}\nnonsense',
    b'1 json 0.0 0.0  {"":"<generation>","\\ud800":"no name of a tag"}\n1',
]


@pytest.mark.parametrize("raw", DAMAGED)
async def test_what_is_damaged_is_a_miss_and_replaced(
    client: RedisClient, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    cache = CacheService()
    await cache.set(W, "k", "whole")
    generation = await client.execute("GET", keys.cache_generation(W), raw=True)
    await client.set(SLOT, raw.replace(b"<generation>", generation))
    with caplog.at_level(logging.WARNING):
        assert await cache.get(W, "k") is None
    assert [record.message for record in caplog.records] == ["a cached value is damaged"]
    assert cache.statistics.corrupt == 1
    assert await cache.get_or_set(W, "k", lambda: "whole", 60) == await cache.get(W, "k") == "whole"


async def test_another_type_of_value_is_a_miss_and_left_alone(client: RedisClient) -> None:
    cache = CacheService()
    await client.execute("RPUSH", SLOT, "1")
    await client.expire(SLOT, 60)
    assert await cache.get(W, "k") is None
    assert await cache.get_or_set(W, "k", lambda: "made", 60) == "made"
    assert cache.statistics.unavailable == 1
    await cache.set(W, "k", "set")
    assert await cache.get(W, "k") == "set"
