"""Locks: one holder at a time, numbered, at the price of a few commands."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from common import clock
from common.errors import InvalidInput
from common.functions import deadline
from common.redis import keys
from common.redis.errors import InvalidKey, InvalidTTL, LockHeld, LockTimeout
from common.redis.locks import DistributedLock
from tests.redis.counting import keys_without_end

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer

COMPARED = {"valkey": 1, "redis": 3}
"""Commands for a compare-and-delete, or a compare-and-set."""

either = pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "bare"])


async def fence(holder: DistributedLock, resource: str = "r") -> int:
    assert await holder.acquire(resource, timeout=0)
    lease = holder.lease(resource)
    assert lease is not None
    assert await holder.release(resource)
    return lease.fence


async def exercise(fenced: bool) -> None:
    holder, other = DistributedLock(), DistributedLock()
    assert await holder.acquire("r", timeout=0, fenced=fenced)
    assert holder.lease("r") is not None
    assert not await other.acquire("r", timeout=0, fenced=fenced)
    assert not await other.release("r")
    assert await other.acquire("another", timeout=0, fenced=fenced)
    assert await holder.release("r")
    assert holder.lease("r") is None
    assert not await holder.release("r")
    assert await other.acquire("r", timeout=0, fenced=fenced)
    assert await other.extend("r", 60)
    assert not await holder.extend("r", 60)


@either
async def test_acquire_release(client: RedisClient, fenced: bool) -> None:
    await exercise(fenced)


@either
async def test_acquire_release_on_the_double(mock_redis: RedisClient, fenced: bool) -> None:
    await exercise(fenced)


async def test_lock_timeout(client: RedisClient) -> None:
    assert await DistributedLock().acquire("r")
    started = time.monotonic()
    assert not await DistributedLock().acquire("r", timeout=0.2, retry_delay=0.01)
    assert 0.2 <= time.monotonic() - started < 0.5
    with pytest.raises(LockTimeout, match="'r' is locked by somebody else"):
        async with DistributedLock().hold("r", timeout=0):
            pytest.fail("it is taken")


async def test_nobody_waits_longer_than_the_invocation(client: RedisClient) -> None:
    assert await DistributedLock().acquire("r")
    started = time.monotonic()
    with pytest.raises((LockTimeout, deadline.DeadlineExceeded)):
        async with deadline.within(0.15), DistributedLock().hold("r", timeout=30):
            pytest.fail("it is taken")
    assert time.monotonic() - started < 0.5


async def test_who_waits_gets_it_soon_after_it_is_free(client: RedisClient) -> None:
    holder, waiting = DistributedLock(), DistributedLock()
    assert await holder.acquire("r")
    task = asyncio.create_task(waiting.acquire("r", timeout=10, retry_delay=0.01))
    await asyncio.sleep(0.05)
    assert not task.done()
    await holder.release("r")
    assert await asyncio.wait_for(task, 2)


@either
async def test_concurrent_access(client: RedisClient, fenced: bool) -> None:
    fences, inside = [], 0

    async def add() -> None:
        nonlocal inside
        async with DistributedLock().hold("r", timeout=30, retry_delay=0.001, fenced=fenced) as lease:
            inside += 1
            assert inside == 1
            value = int(await client.get("n") or 0)
            await client.set("n", value + 1)
            fences.append(lease.fence)
            inside -= 1

    await asyncio.gather(*(add() for _ in range(25)))
    assert await client.get("n") == "25"
    assert fences == (sorted(set(fences)) if fenced else [0] * 25)


@pytest.mark.parametrize(("fenced", "acquire"), [(True, 3), (False, 1)], ids=["fenced", "bare"])
async def test_it_costs_a_handful_of_commands(
    client: RedisClient, count: Count, redis_server: RedisServer, fenced: bool, acquire: int
) -> None:
    compared, holder = COMPARED[redis_server.kind], DistributedLock()
    for _ in range(2):  # the first number, and the next
        async with count() as spent:
            assert await holder.acquire("r", fenced=fenced)
        assert (spent.commands, spent.round_trips) == (acquire, 1), spent
        async with count() as spent:
            assert await holder.extend("r", 60)
        assert (spent.commands, spent.round_trips) == (compared, 1), spent
        async with count() as spent:
            assert not await DistributedLock().acquire("r", timeout=0, fenced=fenced)
        assert (spent.commands, spent.round_trips) == (2 if fenced else 1, 1), spent
        async with count() as spent:
            assert await holder.release("r")
        assert (spent.commands, spent.round_trips) == (compared, 1), spent
    async with count() as spent, holder.hold("r", fenced=fenced):
        pass
    assert (spent.commands, spent.round_trips) == (acquire + compared, 2), spent


async def test_what_is_not_held_is_released_and_extended_for_nothing(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        assert not await DistributedLock().release("r")
        assert not await DistributedLock().extend("r", 5)
    assert spent.commands == 0


async def test_everything_it_writes_ends(client: RedisClient) -> None:
    holder = DistributedLock()
    assert await holder.acquire("r", ttl=7.5)
    assert 7_000 < await client.execute("PTTL", keys.lock("r")) <= 7_500
    await holder.extend("r", 90)
    assert 85 < await client.ttl(keys.lock("r")) <= 90
    assert 86_000 < await client.ttl(keys.lock_fence("r")) <= 86_400
    assert await keys_without_end(client) == set()
    await holder.release("r")
    assert not await client.exists(keys.lock("r"))
    assert await keys_without_end(client) == set()


async def test_numbers_only_rise_whatever_clocks_and_redis_forget(client: RedisClient, count: Count) -> None:
    holder = DistributedLock()
    numbers = [await fence(holder)]
    with clock.frozen(clock.now() - timedelta(hours=5)):  # another instance, whose clock is behind
        numbers += [await fence(holder), await fence(holder)]
        async with count() as spent:
            numbers.append(await fence(holder))
        assert spent.by_name["set"] == 3
    numbers.append(await fence(holder))
    await client.execute("FLUSHALL")
    numbers.append(await fence(holder))
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 2**53  # Lua's numbers are exact up to there: until the year 2255


async def test_a_holder_does_not_take_what_it_has_or_waits_for(client: RedisClient) -> None:
    holder = DistributedLock()
    assert await holder.acquire("r")
    with pytest.raises(LockHeld, match="this holder has 'r'"):
        await holder.acquire("r")
    with pytest.raises(InvalidInput):
        async with holder.hold("r"):
            pytest.fail("it is not re-entrant")
    waiting = DistributedLock()
    first = asyncio.create_task(waiting.acquire("r", timeout=5, retry_delay=0.01))
    await asyncio.sleep(0)
    with pytest.raises(LockHeld):
        await waiting.acquire("r", timeout=0)
    await holder.release("r")
    assert await first


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"resource": ""}, InvalidKey),
        ({"ttl": 0}, InvalidTTL),
        ({"ttl": float("inf")}, InvalidTTL),
        ({"timeout": -1}, InvalidInput),
        ({"timeout": float("nan")}, InvalidInput),
        ({"retry_delay": 0}, InvalidInput),
        ({"retry_delay": float("inf")}, InvalidInput),
    ],
)
async def test_numbers_without_sense_are_refused(
    client: RedisClient, count: Count, arguments: dict[str, Any], error: type[Exception]
) -> None:
    async with count() as spent:
        with pytest.raises(error):
            await DistributedLock().acquire(**{"resource": "r", **arguments})
    assert spent.commands == 0


PROCESS = """
import asyncio, sys
from common.lifecycle import aclose_all
from common.redis.client import redis_client
from common.redis.locks import DistributedLock

async def add():
    for _ in range(20):
        async with DistributedLock().hold("r", timeout=30, retry_delay=0.002) as lease:
            value = int(await redis_client().get("n") or 0)
            await asyncio.sleep(0)
            await redis_client().set("n", value + 1)
            await redis_client().execute("RPUSH", "fences", lease.fence)
    await aclose_all()

async def die():
    assert await DistributedLock().acquire("r", ttl=1)
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(globals()[sys.argv[1]]())
"""


def process(what: str, server: RedisServer) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": ".", "UPSTASH_REDIS_URL": server.full_url}
    command = [sys.executable, "-W", "error", "-c", PROCESS, what]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


async def test_processes_never_overlap(client: RedisClient, redis_server: RedisServer) -> None:
    running = [process("add", redis_server) for _ in range(3)]
    for one in running:
        assert (await asyncio.to_thread(one.communicate, timeout=60))[0] == ""
        assert one.returncode == 0
    assert await client.get("n") == "60"
    fences = [int(number) for number in await client.execute("LRANGE", "fences", 0, -1)]
    assert fences == sorted(set(fences))


async def test_a_killed_holders_lock_is_free_after_its_lease(client: RedisClient, redis_server: RedisServer) -> None:
    with process("die", redis_server) as dying:
        assert dying.stdout is not None
        assert await asyncio.to_thread(dying.stdout.readline) == "held\n"
        dying.send_signal(signal.SIGKILL)
        await asyncio.to_thread(dying.wait)
    started = time.monotonic()
    assert await DistributedLock().acquire("r", timeout=5, retry_delay=0.02)
    assert 0.5 < time.monotonic() - started < 3
