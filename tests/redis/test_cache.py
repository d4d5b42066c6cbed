"""The cache (R81): what it gives out, what it costs, and what it does when Redis fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from common.redis import CacheService, keys
from common.redis.cache_generations import LIFE_MS
from common.redis.errors import InvalidKey, InvalidTTL, InvalidValue
from tests.redis.counting import keys_without_end
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.redis.client import RedisClient
    from tests.redis.counting import Count, Spent
    from tests.redis.servers import RedisServer

W, OTHER = "7d1c1f2e-0000-4000-8000-000000000002", "7d1c1f2e-0000-4000-8000-000000000003"
HOSTILE = ["*", "a:b", "{a}", "%", "%sha256-0", "ключ ₹", "a b\r\nc", "\x00", "x" * 4096, "../..", '"', "|", "-"]


async def at_once(callers: int, call: Callable[[], Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*(call() for _ in range(callers)))


def cost(spent: Spent) -> tuple[int, int]:
    return spent.commands, spent.round_trips


async def test_get_set(client: RedisClient, test_cache_data: dict[str, Any]) -> None:
    cache = CacheService()
    for name, value in test_cache_data.items():
        assert await cache.get(W, name) is None
        await cache.set(W, name, value)
        assert await cache.get(W, name) == value, name
        assert await cache.get(OTHER, name) is None
    await cache.delete(W, "list")
    assert await cache.get(W, "list") is None
    assert await cache.get(W, "object") == test_cache_data["object"]
    assert not await keys_without_end(client)


async def test_get_set_on_the_double(mock_redis: RedisClient) -> None:
    cache = CacheService()
    await cache.set(W, "k", {"a": "x" * 5000}, tags=["t"])
    assert await cache.get(W, "k") == {"a": "x" * 5000}
    await cache.invalidate_tag(W, "t")
    assert await cache.get_or_set(W, "k", lambda: [1], 60) == [1]
    assert await cache.get_or_set(W, "k", lambda: [2], 60) == [1]


async def test_cache_expiry(client: RedisClient) -> None:
    cache = CacheService()
    with Timeline(client) as time:
        await cache.set(W, "short", 1, ttl=10)
        await cache.set(W, "default", 2)
        await time.advance(5)
        assert await cache.get(W, "short") == 1
        await time.advance(5.1)
        assert await cache.get(W, "short") is None
        await time.advance(3500)
        assert await cache.get(W, "default") == 2
        await time.advance(90)
        assert await cache.get(W, "default") is None
    await cache.set(W, "really", 3, ttl=0.03)
    await asyncio.sleep(0.05)
    assert await cache.get(W, "really") is None


async def test_clear_workspace(client: RedisClient, count: Count) -> None:
    cache = CacheService()
    for number in range(50):
        await cache.set(W, f"k{number}", number)
    await cache.set(OTHER, "k1", "theirs")
    async with count() as spent:
        await cache.clear_workspace(W)
    assert cost(spent) == (1, 1), spent
    assert [await cache.get(W, f"k{number}") for number in range(50)] == [None] * 50
    assert await cache.get(OTHER, "k1") == "theirs"
    await cache.set(W, "k1", "new")
    assert await cache.get(W, "k1") == "new"
    assert not await keys_without_end(client)


async def test_get_or_set(client: RedisClient) -> None:
    cache = CacheService()
    made: list[int] = []

    async def factory() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    assert await cache.get_or_set(W, "k", factory, 60) == {"n": 1}
    assert await cache.get_or_set(W, "k", factory, 60) == await cache.get(W, "k") == {"n": 1}
    assert await cache.get_or_set(OTHER, "k", factory, 60) == {"n": 2}
    await cache.delete(W, "k")
    assert await cache.get_or_set(W, "k", factory, 60) == {"n": 3}
    await cache.clear_workspace(W)
    assert await cache.get_or_set(W, "k", factory, 60) == {"n": 4}
    assert not await keys_without_end(client)


async def test_none_is_kept_for_its_own_time(client: RedisClient) -> None:
    cache = CacheService()
    made = iter([None, None, None, "there"])
    with Timeline(client) as time:
        for _ in range(3):
            assert await cache.get_or_set(W, "k", lambda: next(made), 3600) is None
        assert await cache.get(W, "k") is None
        await time.advance(60.1)
        assert await cache.get_or_set(W, "k", lambda: next(made), 3600, negative_ttl=5) is None
        await time.advance(5.1)
        assert await cache.get_or_set(W, "k", lambda: next(made), 2) is None
        await time.advance(2.1)
        assert await cache.get_or_set(W, "k", lambda: next(made), 3600) == "there"


async def test_tags(client: RedisClient, count: Count) -> None:
    cache = CacheService()
    await cache.set(W, "ab", 1, tags=["a", "b"])
    await cache.set(W, "b", 2, tags=["b"])
    await cache.set(OTHER, "b", 3, tags=["b"])
    async with count() as spent:
        await cache.invalidate_tag(W, "a")
    assert cost(spent) == (1, 1), spent
    assert await cache.get(W, "ab") is await cache.get(W, "ab", tags=["b"]) is None
    assert await cache.get(W, "b") == await cache.get(W, "b", tags=["b"]) == 2
    assert await cache.get(W, "b", tags=["b", "c"]) is None, "it was not stored under c, so clearing c would not do it"
    await cache.invalidate_tag(W, "b")
    assert await cache.get(W, "b") is None
    assert await cache.get(OTHER, "b") == 3
    with pytest.raises(InvalidKey, match="list of names"):
        await cache.set(W, "k", 1, tags="tag")


async def test_what_operations_cost(client: RedisClient, redis_server: RedisServer, count: Count) -> None:
    cache, cas = CacheService(), {"valkey": 1, "redis": 3}[redis_server.kind]

    async def spent_by(operation: Any) -> tuple[int, int]:
        async with count() as spent:
            await operation
        return cost(spent)

    assert await spent_by(cache.get(W, "k")) == (1, 1)
    assert await spent_by(cache.set(W, "k", 1)) == (3, 3)  # the workspace's first: its generation is looked for, made
    assert await spent_by(cache.set(W, "k", 1)) == (1, 1)
    assert await spent_by(cache.set(W, "t", 1, tags=["a", "b"])) == (4, 3)  # ... and both tags'
    assert await spent_by(cache.set(W, "t", 1, tags=["a", "b"])) == (1, 1)
    assert await spent_by(CacheService(client).get(W, "t", tags=["a", "b"])) == (1, 1)
    assert await spent_by(cache.get(W, "t")) == (2, 2)  # its tags were not named
    assert await spent_by(cache.get_or_set(W, "k", list, 60)) == (1, 1)
    assert await spent_by(cache.delete(W, "k")) == (1, 1)
    assert await spent_by(cache.get_or_set(W, "k", list, 60)) == (2 + cas, 3)
    assert await spent_by(cache.get_or_set(OTHER, "k", list, 60)) == (3 + cas, 4)  # its generation is made
    assert await spent_by(cache.clear_workspace(W)) == (1, 1)
    assert await spent_by(cache.set(W, "another", 1)) == (1, 1)
    assert await spent_by(cache.get_or_set(W, "k", list, 60)) == (1 + 2 * cas, 3)  # an outdated value lies there
    assert await spent_by(at_once(50, lambda: cache.get(W, "k"))) == (1, 1)
    assert await spent_by(at_once(50, lambda: cache.get_or_set(W, "k", list, 60))) == (1, 1)


async def test_a_set_reads_generations_that_it_does_not_remember(
    client: RedisClient, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = CacheService()
    await cache.set(W, "k", 1)
    monkeypatch.setattr("common.redis.cache_generations.REMEMBERED_SECONDS", -1)
    async with count() as spent:
        await cache.set(W, "k", 2)
    assert cost(spent) == (2, 2)
    monkeypatch.setattr("common.redis.cache_generations._MAX_REMEMBERED", 3)
    for number in range(10):
        await cache.set(f"w{number}", "k", number)
    store = cache._store()
    assert len(store.generations._remembered) == 3


async def test_a_generation_that_is_gone_revives_nothing(client: RedisClient) -> None:
    cache = CacheService()
    await cache.set(W, "k", "old", ttl=LIFE_MS / 1000, tags=["t"])
    for key in (keys.cache_generation(W), keys.cache_tag(W, "t")):  # expired, or evicted
        await client.delete(key)
        assert await cache.get(W, "k", tags=["t"]) is None
        await cache.set(W, "one more", "new", tags=["t"])
        assert await cache.get(W, "one more") == "new", "the lost one is not remembered any longer"
        assert await cache.get(W, "k") is None
        await cache.get_or_set(W, "another", list, 60, tags=["t"])
        assert await cache.get(W, "k") is None
        await cache.set(W, "k", "old", ttl=LIFE_MS / 1000, tags=["t"])
        await cache.clear_workspace(W)
        assert await cache.get(W, "k") is None
        await cache.set(W, "k", "old", ttl=LIFE_MS / 1000, tags=["t"])


async def test_each_caller_has_a_copy_of_his_own(client: RedisClient) -> None:
    cache = CacheService()
    shared: list[int] = [1]
    first, second = await asyncio.gather(*(cache.get_or_set(W, "k", lambda: shared, 60) for _ in range(2)))
    first.append(2)
    shared.append(3)
    assert second == await cache.get(W, "k") == [1]
    first, second = await asyncio.gather(cache.get(W, "k"), cache.get(W, "k"))
    first.append(2)
    assert second == [1]


async def test_hostile_names(client: RedisClient) -> None:
    cache = CacheService()
    for name in HOSTILE:
        await cache.set(name, name, name, tags=[name])
        await cache.set(W, name, name, tags=[name])
    for name in HOSTILE:
        assert await cache.get(name, name, tags=[name]) == await cache.get(W, name) == name
        assert [await cache.get(name, other) for other in HOSTILE if other != name] == [None] * (len(HOSTILE) - 1)
        await cache.invalidate_tag(name, name)
        assert await cache.get(name, name) is None
        await cache.clear_workspace(name)
        assert await cache.get(W, name) == name


@pytest.mark.parametrize("value", [float("nan"), (1,), {1}, {1: 2}, b"x", object(), {"a": [float("inf")]}, "x" * 10**6])
async def test_what_is_not_json_is_refused_and_nothing_written(client: RedisClient, value: Any) -> None:
    cache = CacheService()
    with pytest.raises(InvalidValue, match="a cached value"):
        await cache.set(W, "k", value)
    assert await client.execute("DBSIZE") == 0
    with pytest.raises(InvalidValue, match="a cached value"):
        await cache.get_or_set(W, "k", lambda: value, 60)
    assert not await client.exists(keys.cache(W, "k"))


async def test_bad_input_is_refused_before_anything_is_done(client: RedisClient, count: Count) -> None:
    cache = CacheService()
    calls: list[tuple[Any, type[Exception]]] = [
        (cache.get("", "k"), InvalidKey),
        (cache.get(W, 7), InvalidKey),  # type: ignore[arg-type]
        (cache.set(W, "k", 1, ttl=0), InvalidTTL),
        (cache.set(W, "k", 1, tags=[""]), InvalidKey),
        (cache.get_or_set(W, "k", list, -1), InvalidTTL),
        (cache.get_or_set(W, "k", list, 60, negative_ttl=0), InvalidTTL),
        (cache.delete("\ud800", "k"), InvalidKey),
        (cache.clear_workspace("x" * 5000), InvalidKey),
    ]
    async with count() as spent:
        for call, error in calls:
            with pytest.raises(error):
                await call
    assert spent.commands == 0
