"""Backup and restore: every type and every byte comes back, nothing that exists is touched, nothing half done."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import Unavailable
from common.redis import keys
from common.redis.backup import RedisBackup, Restored
from common.redis.backup_commands import PAGE
from common.redis.client import RedisClient, require
from common.redis.errors import CommandRefused, InvalidKey, InvalidValue
from common.redis.lua.backup import RESTORE_PART
from tests.redis.contents import contents
from tests.redis.counting import keys_without_end
from tests.redis.faults import Died, faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from common.redis.wire import Command
    from tests.redis.counting import Count

ALL = "raptorflow:*"
WORD = st.binary(max_size=12) | st.text(max_size=8).map(lambda text: text.encode(errors="replace"))
SCORE = st.floats(allow_nan=False).map(lambda number: repr(number).encode())
VALUES: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("SET"), WORD),
    st.lists(WORD, min_size=1, max_size=8).map(lambda words: ("RPUSH", *words)),
    st.lists(WORD, min_size=1, max_size=8).map(lambda words: ("SADD", *words)),
    st.lists(WORD, min_size=2, max_size=8).filter(lambda words: len(words) % 2 == 0).map(lambda w: ("HSET", *w)),
    st.lists(st.tuples(SCORE, WORD), min_size=1, max_size=6).map(lambda ps: ("ZADD", *(w for p in ps for w in p))),
    st.lists(st.tuples(WORD, WORD), min_size=1, max_size=4).map(lambda ps: ("XADD", "*", *(w for p in ps for w in p))),
)
DATA = st.lists(st.tuples(VALUES, st.none() | st.integers(60_000, 10**10)), max_size=8)


async def write(client: RedisClient, data: Any) -> None:
    for number, ((verb, *words), left) in enumerate(data):
        key = keys.cache("w", str(number))
        steps: list[Command] = [(verb, key, *words)] * (2 if verb == "XADD" else 1)
        require(await client.pipeline([*steps, *([("PEXPIRE", key, left)] if left else [])]))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=DATA)
@example(data=[(("SET", bytes(range(256))), None), (("ZADD", b"-inf", b"a", b"inf", b"\xff", b"1e-320", b""), 60_000)])
async def test_every_type_and_every_byte_comes_back(client: RedisClient, data: Any) -> None:
    await client.execute("FLUSHALL")
    await write(client, data)
    before = await contents(client)
    backup = json.loads(json.dumps(await RedisBackup().backup_keys(ALL)))
    await client.execute("FLUSHALL")
    assert await RedisBackup().restore_keys(backup) == Restored(len(data), (), ())
    assert await contents(client) == before
    again = await RedisBackup().backup_keys(ALL)
    assert {key: (entry["type"], entry["value"]) for key, entry in again.items()} == {
        key: (entry["type"], entry["value"]) for key, entry in backup.items()
    }


async def large(client: RedisClient) -> dict[str, Any]:
    """Collections of several pages; what they hold."""
    many = range(2 * PAGE + 500)
    steps: list[Command] = []
    for number in many:
        steps += [
            ("HSET", "raptorflow:hash", number, f"v{number}"),
            ("RPUSH", "raptorflow:list", number % 7),
            ("SADD", "raptorflow:set", b"\xff%d" % number),
            ("ZADD", "raptorflow:zset", number / 3, number),
            ("XADD", "raptorflow:stream", f"{number}-1", "f", number, "g", "x"),
        ]
    require(await client.pipeline(steps))
    await client.expire("raptorflow:hash", 500)
    return await contents(client)


@pytest.mark.parametrize("replace", [False, True])
async def test_large_collections_travel_in_pages(client: RedisClient, replace: bool) -> None:
    before = await large(client)
    backup = await RedisBackup().backup_keys(ALL)
    if replace:
        require(await client.pipeline([("DEL", key) for key in before]))
        require(await client.pipeline([("SET", key, "other") for key in before]))
    else:
        await client.execute("FLUSHALL")
    assert await RedisBackup().restore_keys(backup, replace=replace) == Restored(5, (), ())
    assert await contents(client) == before
    assert 490 < await client.ttl("raptorflow:hash") <= 500


async def test_what_exists_is_left_alone_and_told(client: RedisClient) -> None:
    await client.set("raptorflow:a", "old")
    await client.execute("HSET", "raptorflow:h", "f", "old")
    backup = await RedisBackup().backup_keys(ALL)
    await client.set("raptorflow:a", "new")
    await client.execute("HSET", "raptorflow:h", "f", "new")
    assert await RedisBackup().restore_keys(backup) == Restored(0, ("raptorflow:a", "raptorflow:h"), ())
    assert await client.get("raptorflow:a") == "new"
    assert await client.execute("HGETALL", "raptorflow:h") == ["f", "new"]
    assert len(await contents(client)) == 2
    assert await RedisBackup().restore_keys(backup, replace=True) == Restored(2, (), ())
    assert await client.get("raptorflow:a") == "old"
    assert await client.execute("HGETALL", "raptorflow:h") == ["f", "old"]


async def test_ends_are_moments(client: RedisClient) -> None:
    with Timeline(client) as time:
        await client.set("raptorflow:short", "x", ex=50)
        await client.set("raptorflow:long", "x", ex=500)
        await client.execute("RPUSH", "raptorflow:list", "x")
        await client.expire("raptorflow:list", 500)
        await client.execute("SET", "raptorflow:forever", "x")
        backup = await RedisBackup().backup_keys(ALL)
        assert backup["raptorflow:forever"]["expires_at"] is None
        left = datetime.fromisoformat("2026-11-25T06:38:20+00:00") - datetime.fromisoformat(
            backup["raptorflow:long"]["expires_at"]
        )
        assert timedelta(0) <= left < timedelta(seconds=2)
        await client.execute("FLUSHALL")
        await time.advance(100)
        assert await RedisBackup().restore_keys(backup) == Restored(3, (), ("raptorflow:short",))
    assert not await client.exists("raptorflow:short")
    assert 398 <= await client.ttl("raptorflow:long") <= 400
    assert 398 <= await client.ttl("raptorflow:list") <= 400
    assert await client.ttl("raptorflow:forever") == -1


async def test_locks_are_left_out_and_their_fencing_counters_never_go_back(client: RedisClient) -> None:
    await client.set(keys.lock("r"), "token", ex=30)
    await client.execute("SET", keys.lock_fence("r"), 7)
    backup = await RedisBackup().backup_keys(ALL)
    assert set(backup) == {keys.lock_fence("r")}
    await client.execute("SET", keys.lock_fence("r"), 9)
    assert (await RedisBackup().restore_keys(backup, replace=True)).existed == (keys.lock_fence("r"),)
    assert await client.get(keys.lock_fence("r")) == "9"
    entry = {"type": "string", "expires_at": None, "value": "token"}
    with pytest.raises(InvalidKey, match="is a lock"):
        await RedisBackup().restore_keys({keys.lock("r"): entry})


async def test_a_restore_that_dies_half_way_leaves_what_ends_by_itself(client: RedisClient) -> None:
    big = {"type": "hash", "expires_at": None, "value": [[str(number), "x" * 1000] for number in range(2 * PAGE)]}
    with faults("ok", "dies before"), pytest.raises(Died):
        await RedisBackup().restore_keys({"raptorflow:big": big})
    assert [name.rpartition(":")[0] for name in await contents(client)] == ["raptorflow:restoring"]
    assert await keys_without_end(client) == set()
    assert (await RedisBackup().restore_keys({"raptorflow:big": big})).written == 1
    assert await client.execute("HLEN", "raptorflow:big") == 2 * PAGE


async def test_a_part_without_the_parts_before_it_writes_nothing(client: RedisClient) -> None:
    with pytest.raises(CommandRefused, match="an earlier part"):
        await client.run(RESTORE_PART, ["raptorflow:parts", "raptorflow:l"], ["RPUSH", "LLEN", 1, "1", "", "", "b"])
    assert await contents(client) == {}


async def test_a_full_server_is_unavailable(client: RedisClient) -> None:
    await client.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(Unavailable, match="OOM"):
            await RedisBackup().restore_keys({"raptorflow:a": GOOD})
    finally:
        await client.execute("CONFIG", "SET", "maxmemory", 0)


async def test_an_empty_stream_is_left_out(client: RedisClient) -> None:
    await client.execute("XADD", "raptorflow:s", "1-1", "f", "v")
    await client.execute("XDEL", "raptorflow:s", "1-1")
    assert await RedisBackup().backup_keys(ALL) == {}


@pytest.mark.parametrize("pattern", ["*", "", "rapt*", "?aptorflow:*", "raptorflow*", "other:raptorflow:*"])
async def test_only_our_keys_are_read(client: RedisClient, count: Count, pattern: str) -> None:
    async with count() as spent:
        with pytest.raises(InvalidKey, match="must begin with raptorflow:"):
            await RedisBackup().backup_keys(pattern)
    assert spent.commands == 0


GOOD = {"type": "set", "expires_at": None, "value": ["a"]}


@pytest.mark.parametrize(
    ("key", "entry", "said"),
    [
        ("other:a", GOOD, "none of our keys"),
        ("raptorflow:restoring:x", GOOD, "never restored"),
        ("raptorflow:a", None, "export it again"),
        ("raptorflow:a", {}, "export it again"),
        ("raptorflow:a", GOOD | {"type": "json"}, "no type 'json'"),
        ("raptorflow:a", GOOD | {"value": []}, "not a list with elements"),
        ("raptorflow:a", GOOD | {"value": "abc"}, "not a list with elements"),
        ("raptorflow:a", GOOD | {"value": [1]}, "neither text nor base64"),
        ("raptorflow:a", GOOD | {"value": [{"base64": "%"}]}, "base64"),
        ("raptorflow:a", GOOD | {"value": ["\ud800"]}, "surrogates"),
        ("raptorflow:a", GOOD | {"type": "hash", "value": [["a"]]}, "not enough values"),
        ("raptorflow:a", GOOD | {"type": "zset", "value": [["a", 1]]}, "a score is a number, as text"),
        ("raptorflow:a", GOOD | {"type": "zset", "value": [["a", "nan"]]}, "a score is a number, as text"),
        ("raptorflow:a", GOOD | {"type": "stream", "value": [["x", ["f", "v"]]]}, "no id of a stream"),
        ("raptorflow:a", GOOD | {"type": "stream", "value": [["1-1", ["f"]]]}, "fields and values"),
        ("raptorflow:a", GOOD | {"expires_at": "2026-11-25T06:30:00"}, "without a time zone"),
        ("raptorflow:a", GOOD | {"expires_at": 5}, "export it again"),
    ],
)
async def test_data_that_is_not_a_backup_writes_nothing(client: RedisClient, key: str, entry: Any, said: str) -> None:
    with pytest.raises((InvalidKey, InvalidValue), match=said) as refused:
        await RedisBackup().restore_keys({"raptorflow:good": GOOD, key: entry})
    assert key in str(refused.value)
    assert await contents(client) == {}


async def test_a_backup_runs_on_the_double_too(mock_redis: RedisClient) -> None:
    await write(mock_redis, [(("SET", b"\xff"), 60_000), (("HSET", "f", "v"), 60_000), (("ZADD", "inf", "m"), None)])
    before = await contents(mock_redis)
    backup = await RedisBackup().backup_keys(ALL)
    await mock_redis.execute("FLUSHALL")
    assert (await RedisBackup().restore_keys(backup)).written == 3
    assert await contents(mock_redis) == before
