"""Clean-up (R25): what a time to live cannot, within a budget, and nothing that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.redis import SessionService, cleanup, keys
from common.redis.cleanup import MIN_BUDGET, CleanupResult, RedisCleanup
from common.redis.client import require
from common.redis.errors import InvalidValue
from common.redis.leases import FENCE_TTL_SECONDS
from common.redis.locks import DistributedLock
from common.redis.session_ids import epoch_and_index_of, place_of
from tests.redis.counting import keys_without_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.redis.client import RedisClient
    from tests.redis.counting import Count

OTHERS = ("lock:{x}", "cache:w:k", "session:u:x", "raptorflowcache:w:k", b"raptorflow:cache:w:\xff")
CALLS: dict[str, Callable[..., Awaitable[CleanupResult]]] = {
    "sessions": RedisCleanup().cleanup_expired_sessions,
    "cache": RedisCleanup().cleanup_old_cache,
    "locks": RedisCleanup().cleanup_stale_locks,
}


async def write(client: RedisClient, *steps: tuple[Any, ...]) -> None:
    require(await client.pipeline(steps))


async def through(
    call: Callable[..., Awaitable[CleanupResult]], *, budget: int, count: Count | None = None
) -> CleanupResult:
    """All calls together, each of which keeps its budget."""
    total = CleanupResult(0, 0, 0, 0, "0")
    while total.cursor is not None:
        if count is None:
            result = await call(budget=budget, cursor=total.cursor)
        else:
            async with count() as spent:
                result = await call(budget=budget, cursor=total.cursor)
            assert spent.commands == result.commands <= budget
        total += result
    return total


async def some_sessions(client: RedisClient, users: int) -> tuple[set[str], int]:
    """Sessions of many users, a third of them gone; the living ones' keys, and how many are gone."""
    sessions = SessionService()
    living: set[str] = set()
    gone = []
    for number in range(users * 3):
        place = place_of(await sessions.create_session(f"u{number % users}", "w"))
        assert place
        if number % users % 3 == number // users:
            gone.append(place.session)
        else:
            living.add(place.session)
    await client.delete(*gone)
    return living, len(gone)


@pytest.mark.parametrize("budget", [MIN_BUDGET, 200, 5000])
async def test_indexes_are_exact_afterwards(client: RedisClient, count: Count, budget: int) -> None:
    living, gone = await some_sessions(client, 60)
    result = await through(CALLS["sessions"], budget=budget, count=count)
    assert (result.scanned, result.removed) == (60, gone)
    indexes = [epoch_and_index_of(f"u{number}")[1] for number in range(60)]
    entries = require(await client.pipeline([("ZRANGE", index, 0, -1) for index in indexes]))
    assert {name for names in entries for name in names} == living
    assert await client.execute("EXISTS", *living) == len(living)
    again = await through(CALLS["sessions"], budget=budget, count=count)
    assert (again.scanned, again.removed) == (60, 0)


async def test_where_nothing_has_ended_it_costs_two_commands_an_index(client: RedisClient, count: Count) -> None:
    for number in range(20):
        for _ in range(3):
            await SessionService().create_session(f"u{number}", "w")
    async with count() as spent:
        result = await RedisCleanup().cleanup_expired_sessions()
    assert (result.scanned, result.removed, result.cursor) == (20, 0, None)
    assert result.commands == spent.commands == 1 + 2 * 20
    assert spent.round_trips == 1 + 2 + 2, "no more indexes at once than the budget can bear"


@pytest.mark.parametrize("kind", ["cache", "locks"])
async def test_what_has_no_end_gets_one_and_the_rest_is_left(client: RedisClient, count: Count, kind: str) -> None:
    names = {
        "cache": [keys.cache("w", "k"), keys.cache_generation("w"), keys.cache_tag("w", "t")],
        "locks": [keys.lock("r"), keys.lock_fence("r")],
    }[kind]
    await write(client, *(("SET", name, "x") for name in names), ("SET", keys.cache("w", "ends"), "x", "PX", 50_000))
    await write(client, ("SET", keys.lock("alive"), "x", "PX", 50_000), ("SET", keys.prefs("w"), "x"))
    result = await through(CALLS[kind], budget=100, count=count)
    assert (result.mended, result.scanned, result.commands) == (len(names), len(names) + 1, len(names) + 2)
    assert await keys_without_end(client) == {keys.prefs("w")}
    for name in (keys.cache("w", "ends"), keys.lock("alive")):
        assert 45 < await client.ttl(name) <= 50
    assert await client.execute("EXISTS", *names) == len(names)


async def test_a_lock_without_end_outlives_any_invocation_and_its_counter_outlives_it(client: RedisClient) -> None:
    await write(client, ("SET", keys.lock("r"), "x"), ("SET", keys.lock_fence("r"), "1"))
    await RedisCleanup().cleanup_stale_locks()
    assert 3590 < await client.ttl(keys.lock("r")) <= 3600
    assert FENCE_TTL_SECONDS - 10 < await client.ttl(keys.lock_fence("r")) <= FENCE_TTL_SECONDS


async def test_a_live_lock_is_left_to_its_holder(client: RedisClient) -> None:
    lock = DistributedLock()
    assert await lock.acquire("r", ttl=30)
    assert (await RedisCleanup().cleanup_stale_locks()).mended == 0
    assert await lock.extend("r", 60)
    assert 50 < await client.ttl(keys.lock("r")) <= 60
    assert await lock.release("r")


@pytest.mark.parametrize("call", CALLS)
async def test_a_dry_run_counts_and_changes_nothing(client: RedisClient, call: str) -> None:
    await some_sessions(client, 6)
    await write(client, *(("SET", name, "x") for name in (keys.cache("w", "k"), keys.lock("r"))))
    before = {name: await client.execute("DUMP", name, raw=True) for name in await client.execute("KEYS", "*")}
    endless = await keys_without_end(client)
    dry = await CALLS[call](dry_run=True)
    assert await keys_without_end(client) == endless
    after = {name: await client.execute("DUMP", name, raw=True) for name in await client.execute("KEYS", "*")}
    assert after == before
    real = await CALLS[call]()
    assert (dry.scanned, dry.removed, dry.mended) == (real.scanned, real.removed, real.mended)
    assert real.removed + real.mended > 0


@pytest.mark.parametrize("call", CALLS)
async def test_keys_of_others_are_left_alone(client: RedisClient, call: str) -> None:
    for name in OTHERS:
        await client.execute("SET", name, "x")
    await client.execute("SET", keys.session_index("x"), "of another type")
    assert (await CALLS[call]()).scanned == 0
    for name in OTHERS:
        assert await client.execute("TTL", name) == -1


@pytest.mark.parametrize("call", CALLS)
async def test_what_is_written_meanwhile_holds_nothing_up(
    client: RedisClient, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "_PAGE", 10)
    await some_sessions(client, 40)
    await write(client, *(("SET", build(str(n)), "x") for n in range(40) for build in (keys.lock, keys.prefs)))
    await write(client, *(("SET", keys.cache("w", str(n)), "x") for n in range(40)))
    done, cursor = 0, "0"
    for turn in range(200):
        result = await CALLS[call](budget=MIN_BUDGET, cursor=cursor)
        assert result.commands <= MIN_BUDGET
        done += result.removed + result.mended
        if result.cursor is None:
            break
        cursor = result.cursor
        await write(client, *(("SET", keys.prefs(f"{turn}/{n}"), "x", "PX", 60_000) for n in range(20)))
        await client.delete(keys.prefs(str(turn)))
    else:
        pytest.fail("it never came to an end")
    assert done >= 40
    assert not {name for name in await keys_without_end(client) if ":prefs:" not in name and call[:4] in name}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("budget", [0, MIN_BUDGET - 1, 1000.0, True, None, "1000"])
async def test_what_is_no_budget_is_refused(client: RedisClient, call: str, budget: Any) -> None:
    with pytest.raises(InvalidValue, match=f"{MIN_BUDGET} at least"):
        await CALLS[call](budget=budget)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("cursor", ["", "x", "-1", "1|", "1" * 21, 7.5])
async def test_what_is_no_cursor_is_refused(client: RedisClient, call: str, cursor: Any) -> None:
    with pytest.raises(InvalidValue, match="the one of the call before"):
        await CALLS[call](cursor=cursor)
