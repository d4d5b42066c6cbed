"""Locks whose holder is frozen, cut off, cancelled or robbed, and answers that never come."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from common.errors import Unavailable
from common.functions import deadline
from common.redis import keys, leases
from common.redis.errors import LockLost, OutcomeUnknown
from common.redis.locks import DistributedLock
from tests.redis.faults import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.redis.client import RedisClient
    from tests.redis.counting import Count
    from tests.redis.faults import Fate
    from tests.redis.servers import RedisServer

either = pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "bare"])


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let this process have been frozen for so many seconds."""
    lost = 0.0
    monkeypatch.setattr(leases, "monotonic", lambda: time.monotonic() + lost)

    def freeze(seconds: float) -> None:
        nonlocal lost
        lost += seconds

    return freeze


# --- answers that never come


@either
async def test_a_lock_whose_answer_was_lost_is_recognised(client: RedisClient, fenced: bool) -> None:
    holder = DistributedLock()
    with faults("answer lost"):
        assert await holder.acquire("r", timeout=0, ttl=20, fenced=fenced)
    lease = holder.lease("r")
    assert lease is not None
    assert 19 < lease.left <= 20
    assert (lease.fence > 0) == fenced
    assert await client.get(keys.lock("r")) == lease.token
    if fenced:
        assert await client.get(keys.lock_fence("r")) == str(lease.fence)
    assert await holder.release("r")


@either
async def test_a_lock_of_somebody_else_is_not_taken_for_ours(client: RedisClient, fenced: bool) -> None:
    assert await DistributedLock().acquire("r")
    with faults("answer lost"):
        assert not await DistributedLock().acquire("r", timeout=0, fenced=fenced)


@pytest.mark.parametrize("fates", [("answer lost", "answer lost"), ("answer lost", "ok", "answer lost")])
async def test_what_stays_unknown_is_given_back(client: RedisClient, fates: tuple[Fate, ...]) -> None:
    with faults(*fates), pytest.raises(OutcomeUnknown):
        await DistributedLock().acquire("r")
    assert not await client.exists(keys.lock("r"))


async def test_what_cannot_be_given_back_ends_with_its_lease(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    with faults("answer lost", "answer lost", "not sent"), pytest.raises(OutcomeUnknown):
        await DistributedLock().acquire("r", ttl=5)
    assert "may stay taken until its lease ends" in caplog.text
    assert 0 < await client.ttl(keys.lock("r")) <= 5


async def test_a_redis_that_cannot_be_asked_is_unavailable(client: RedisClient) -> None:
    with faults("not sent"), pytest.raises(Unavailable):
        await DistributedLock().acquire("r")
    assert not await client.exists(keys.lock("r"))


async def test_a_release_whose_answer_was_lost_has_happened(client: RedisClient) -> None:
    holder = DistributedLock()
    await holder.acquire("r")
    with faults("answer lost"):
        assert await holder.release("r")
    assert not await client.exists(keys.lock("r"))


async def test_an_extension_whose_answer_was_lost_is_not_counted_on(client: RedisClient) -> None:
    holder = DistributedLock()
    await holder.acquire("r", ttl=30)
    with faults("answer lost"), pytest.raises(OutcomeUnknown):
        await holder.extend("r", 60)
    lease = holder.lease("r")
    assert lease is not None
    assert lease.left <= 30
    with faults("answer lost"), pytest.raises(OutcomeUnknown):
        await holder.extend("r", 5)
    assert lease.left <= 5


# --- cancelled


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_acquire_leaves_no_lock(client: RedisClient, turns: int) -> None:
    task = asyncio.create_task(DistributedLock().acquire("r"))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert await client.exists(keys.lock("r")) == (not task.cancelled())


async def test_a_cancelled_wait_costs_nothing(client: RedisClient, count: Count) -> None:
    assert await DistributedLock().acquire("r")
    async with count() as spent:
        task = asyncio.create_task(DistributedLock().acquire("r", retry_delay=60, fenced=False))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
    assert spent.commands == 1


async def test_cancelling_the_work_frees_the_lock(client: RedisClient) -> None:
    async def work() -> None:
        async with DistributedLock().hold("r"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not await client.exists(keys.lock("r"))


async def test_work_whose_time_is_up_frees_the_lock(client: RedisClient) -> None:
    for _ in range(3):
        with pytest.raises(deadline.DeadlineExceeded):
            async with deadline.within(0.05), DistributedLock().hold("r", timeout=0):
                await asyncio.Event().wait()
        assert not await client.exists(keys.lock("r"))


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
async def test_an_error_of_the_work_is_its_own_and_frees_the_lock(client: RedisClient, error: type[Exception]) -> None:
    with pytest.raises(error, match="mine"):
        async with DistributedLock().hold("r"):
            raise error("mine")
    assert not await client.exists(keys.lock("r"))


# --- renewed, or lost


async def test_it_is_renewed_while_it_is_held(client: RedisClient) -> None:
    async with DistributedLock().hold("r", ttl=0.3) as lease:
        for _ in range(8):
            await asyncio.sleep(0.1)
            assert lease.held
            assert not await DistributedLock().acquire("r", timeout=0)
    assert not await client.exists(keys.lock("r"))


async def test_nobody_renews_what_was_only_acquired(client: RedisClient) -> None:
    holder = DistributedLock()
    await holder.acquire("r", ttl=0.2)
    assert holder.lease("r") is not None
    await asyncio.sleep(0.25)
    assert holder.lease("r") is None
    assert not await holder.extend("r", 5)
    assert await DistributedLock().acquire("r", timeout=0)
    assert not await holder.release("r")


async def test_a_lock_that_was_taken_away_cancels_the_work(client: RedisClient) -> None:
    other = DistributedLock()
    with pytest.raises(LockLost, match="what it guarded was cancelled"):
        async with DistributedLock().hold("r", ttl=0.3) as lease:
            await client.delete(keys.lock("r"))
            assert await other.acquire("r", timeout=0)
            await asyncio.wait_for(asyncio.Event().wait(), 5)
    assert lease.lost.is_set()
    assert not lease.held
    assert other.lease("r") is not None
    assert await client.exists(keys.lock("r"))


async def test_a_lock_that_cannot_be_renewed_is_lost_when_its_lease_ends(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    started = time.monotonic()
    cut_off: list[Fate] = ["not sent"] * 100
    with faults("ok", *cut_off), pytest.raises(LockLost):
        async with DistributedLock().hold("r", ttl=0.4, fenced=False):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
    assert 0.35 < time.monotonic() - started < 0.8
    assert "could not be renewed yet" in caplog.text


async def test_one_renewal_that_fails_loses_nothing(client: RedisClient) -> None:
    with faults("ok", "not sent", "answer lost"):
        async with DistributedLock().hold("r", ttl=0.4) as lease:
            await asyncio.sleep(0.6)
            assert lease.held


async def test_a_lock_is_lost_in_time_though_redis_never_answers(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.lifecycle import aclose_all

    own_server.start()
    monkeypatch.setenv("UPSTASH_REDIS_URL", own_server.full_url)
    started = time.monotonic()
    with pytest.raises(LockLost):
        async with DistributedLock().hold("r", ttl=0.4):
            own_server.freeze()
            await asyncio.wait_for(asyncio.Event().wait(), 5)
    assert time.monotonic() - started < 0.8
    own_server.thaw()
    await aclose_all()


async def test_who_was_frozen_knows_before_it_goes_on(client: RedisClient, frozen: Callable[[float], None]) -> None:
    with pytest.raises(LockLost, match="had ended before what it guarded did"):
        async with DistributedLock().hold("r", ttl=30) as lease:
            frozen(29)
            assert lease.held
            frozen(1)
            assert not lease.held
    holder = DistributedLock()
    assert await DistributedLock().acquire("other", ttl=30)
    assert await holder.acquire("s", ttl=30)
    frozen(30)
    assert holder.lease("s") is None
    assert not await holder.extend("s", 30)


async def test_a_lock_that_redis_forgot_during_the_work_is_told_at_its_end(client: RedisClient) -> None:
    with pytest.raises(LockLost):
        async with DistributedLock().hold("r"):
            await client.execute("FLUSHALL")


async def test_work_that_was_done_within_the_lease_is_done_though_redis_is_gone(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    with faults("ok", "not sent"):
        async with DistributedLock().hold("r", fenced=False):
            pass
    assert "was not released; it ends with its lease" in caplog.text
    with faults("ok", "answer lost"):
        async with DistributedLock().hold("s", fenced=False):
            pass
    assert not await client.exists(keys.lock("s"))
