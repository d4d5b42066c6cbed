"""Ends of keys: set, asked for, prolonged (R21)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from common.redis import keys
from common.redis.errors import InvalidKey, InvalidTTL, InvalidValue
from common.redis.ttl_manager import TTLManager
from tests.redis.counting import keys_without_end

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

KEY = keys.prefs("w")


@pytest.fixture
def ttls(client: RedisClient) -> TTLManager:
    return TTLManager()


async def test_an_end_is_set_and_told(ttls: TTLManager, client: RedisClient) -> None:
    assert await ttls.get_ttl(KEY) is None
    assert not await ttls.set_ttl(KEY, 60)
    await client.execute("SET", KEY, "x")
    assert await ttls.get_ttl(KEY) == math.inf
    assert await ttls.set_ttl(KEY, 60)
    left = await ttls.get_ttl(KEY)
    assert left
    assert 59 < left <= 60
    assert await ttls.set_ttl(KEY, 0.5), "sooner, too"
    left = await ttls.get_ttl(KEY)
    assert left
    assert 0 < left <= 0.5


async def test_an_end_is_moved_away_and_never_nearer(ttls: TTLManager, client: RedisClient) -> None:
    assert not await ttls.refresh_ttl(KEY, 60)
    await client.set(KEY, "x", ex=60)
    assert await ttls.refresh_ttl(KEY, 600)
    assert not await ttls.refresh_ttl(KEY, 300)
    assert 590 < await client.ttl(KEY) <= 600
    await client.execute("PERSIST", KEY)
    assert not await ttls.refresh_ttl(KEY, 60)
    assert await client.ttl(KEY) == -1


async def test_each_costs_one_command(ttls: TTLManager, count: Count) -> None:
    for call in (ttls.set_ttl(KEY, 60), ttls.get_ttl(KEY), ttls.refresh_ttl(KEY, 60)):
        async with count() as spent:
            await call
        assert (spent.commands, spent.round_trips) == (1, 1)


@pytest.mark.parametrize("key", ["", "prefs:w", "raptorflow", None, 7, b"raptorflow:x"])
async def test_keys_of_others_are_left_alone(ttls: TTLManager, count: Count, key: Any) -> None:
    async with count() as spent:
        for call in (ttls.set_ttl(key, 60), ttls.get_ttl(key), ttls.refresh_ttl(key, 60)):
            with pytest.raises(InvalidKey, match="begins with raptorflow:"):
                await call
    assert spent.commands == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 10**12, "60", None, True])
async def test_what_is_no_time_is_refused(ttls: TTLManager, seconds: Any) -> None:
    for call in (ttls.set_ttl(KEY, seconds), ttls.refresh_ttl(KEY, seconds)):
        with pytest.raises(InvalidTTL, match="a time to live must be"):
            await call


async def test_everything_is_cleaned_up_piece_by_piece(ttls: TTLManager, client: RedisClient) -> None:
    for number in range(150):
        await client.execute("SET", keys.cache("w", str(number)), "x")
        await client.execute("SET", keys.lock(str(number)), "x")
        await client.execute("ZADD", keys.session_index(str(number)), 1, keys.session("gone"))
        await client.execute("PEXPIRE", keys.session_index(str(number)), 60_000)
    dry = await ttls.cleanup_expired(dry_run=True, budget=10_000)
    assert (dry.scanned, dry.removed, dry.mended, dry.cursor) == (450, 150, 300, None)
    assert len(await keys_without_end(client)) == 300
    cursor: str | None = None
    scanned = removed = mended = calls = 0
    while True:
        result = await ttls.cleanup_expired(budget=100, cursor=cursor)
        assert result.commands <= 100
        scanned, removed, mended = scanned + result.scanned, removed + result.removed, mended + result.mended
        calls, cursor = calls + 1, result.cursor
        if cursor is None:
            break
    assert (scanned, removed, mended) == (450, 150, 300)
    assert calls < 30
    assert not await keys_without_end(client)
    assert not await client.execute("EXISTS", *(keys.session_index(str(number)) for number in range(150)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 10}, "54 at least"),
        ({"budget": "1000"}, "a whole number"),
        ({"cursor": "queues/0"}, "the one of the call before"),
        ({"cursor": "locks/x"}, "the one of the call before"),
        ({"cursor": 7}, "the one of the call before"),
    ],
)
async def test_what_makes_no_sense_is_refused(ttls: TTLManager, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        await ttls.cleanup_expired(**arguments)
