"""How workers end: told to, at a deadline, by SIGTERM; and what they do while Redis is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from common.errors import Unavailable
from common.functions import deadline
from common.lifecycle import aclose_all
from common.redis import worker as module
from common.redis.queue import QueueService
from common.redis.queue_models import Job, JobStatus, NewJob
from common.redis.worker import QueueWorker
from tests.redis.queueing import QUEUE, new_process
from tests.redis.servers import TOKEN

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from common.redis.queue_models import Taken
    from tests.redis.servers import RedisServer

__all__ = ["new_process"]

QUEUED = QueueService()


async def nothing(job: Job) -> None: ...


async def forever(job: Job) -> None:
    await asyncio.sleep(3600)


async def waiting() -> tuple[int, int]:
    """Jobs that wait, and that are held."""
    stats = await QUEUED.stats(QUEUE)
    return stats.ready + stats.delayed, stats.running


async def test_a_worker_that_is_stopped_lets_its_jobs_end_and_takes_no_more(client: RedisClient) -> None:
    begun, ended = asyncio.Event(), []

    async def handler(job: Job) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        ended.append(job.data)

    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(5)])
    worker = QueueWorker(QUEUE, handler, concurrency=2)
    running = asyncio.create_task(worker.start())
    await begun.wait()
    await worker.stop()
    assert ended == [0, 1]
    assert await waiting() == (3, 0)
    await running
    await worker.stop()


async def test_what_does_not_end_in_time_is_put_back_with_a_try_spent(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.1)
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(3)])
    worker = QueueWorker(QUEUE, forever, concurrency=2)
    running = asyncio.create_task(worker.start())
    await asyncio.sleep(0.2)
    assert await waiting() == (1, 2)
    await worker.stop()
    await running
    assert await waiting() == (3, 0)
    assert [job.attempt for job in (await QUEUED.take(QUEUE, 3)).jobs] == [2, 2, 1]


async def test_a_worker_that_is_cancelled_puts_its_jobs_back(client: RedisClient) -> None:
    await QUEUED.enqueue(QUEUE, 1)
    running = asyncio.create_task(QueueWorker(QUEUE, forever).start())
    await asyncio.sleep(0.2)
    assert await waiting() == (0, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await waiting() == (1, 0)


async def test_a_worker_works_once(client: RedisClient) -> None:
    worker = QueueWorker(QUEUE, nothing)
    await worker.stop()
    await asyncio.wait_for(worker.start(), 1)
    with pytest.raises(RuntimeError, match="make a new one"):
        await worker.drain()


async def test_no_job_is_begun_near_the_deadline(client: RedisClient) -> None:
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(50)])

    async def handler(job: Job) -> None:
        await asyncio.sleep(0.1)

    async with deadline.within(5.5):
        drained = await QueueWorker(QUEUE, handler, concurrency=2).drain()
        assert 4.7 < deadline.remaining(60) <= 5.1
    assert 4 <= drained.completed <= 12
    assert (drained.has_more, drained.due_in, drained.handed_back) == (True, 0.0, 0)
    assert await waiting() == (50 - drained.completed, 0)
    async with deadline.within(4):
        assert (await QueueWorker(QUEUE, handler).drain()).has_more
    assert await waiting() == (50 - drained.completed, 0)


async def test_what_still_runs_two_seconds_before_the_deadline_is_put_back(client: RedisClient) -> None:
    await QUEUED.enqueue(QUEUE, 1)
    async with deadline.within(2.4):
        drained = await QueueWorker(QUEUE, forever, reserve=2.2).drain()
        assert deadline.remaining(60) > 1.5
    assert (drained.handed_back, drained.has_more) == (1, True)
    assert await waiting() == (1, 0)


async def test_sigterm_moves_the_deadline_and_ends_the_taking(client: RedisClient) -> None:
    """`common.functions.shutdown` moves every deadline to eight seconds: that alone would leave three to go on."""
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(10)])
    began: list[Any] = []

    async def handler(job: Job) -> None:
        began.append(job.data)
        deadline.shorten_all(8.0)
        await asyncio.sleep(0.3)

    async with deadline.within(60):
        drained = await QueueWorker(QUEUE, handler, concurrency=2).drain()
    assert (drained.completed, drained.has_more, began) == (2, True, [0, 1])
    assert await waiting() == (8, 0)


async def test_what_was_taken_while_the_signal_came_is_handed_back_with_no_try_spent(client: RedisClient) -> None:
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(3)])
    take = QueueService.take

    async def interrupted(self: QueueService, queue_name: str, n: int = 1) -> Taken:
        taken = await take(self, queue_name, n)
        deadline.shorten_all(8.0)
        return taken

    with patch.object(QueueService, "take", interrupted):
        async with deadline.within(60):
            drained = await QueueWorker(QUEUE, nothing).drain()
    assert (drained.completed, drained.handed_back, drained.has_more) == (0, 3, True)
    assert [(job.data, job.attempt) for job in (await QUEUED.take(QUEUE, 3)).jobs] == [(0, 1), (1, 1), (2, 1)]


async def test_a_drain_without_redis_says_so_once_its_jobs_have_ended(client: RedisClient) -> None:
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(3)])
    ended: list[Any] = []

    async def handler(job: Job) -> None:
        await asyncio.sleep(0.1 + 0.2 * job.data)
        ended.append(job.data)

    take = QueueService.take

    async def once(self: QueueService, queue_name: str, n: int = 1) -> Taken:
        if ended:
            raise Unavailable("Redis is away")
        return await take(self, queue_name, n)

    with patch.object(QueueService, "take", once), pytest.raises(Unavailable, match="Redis is away"):
        await QueueWorker(QUEUE, handler, concurrency=2).drain()
    assert ended == [0, 1]
    assert await waiting() == (1, 0)


async def test_a_worker_backs_off_while_redis_is_away_and_goes_on_when_it_is_back(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", own_server.url)
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", TOKEN)
    seen: list[Any] = []

    async def handler(job: Job) -> None:
        seen.append(job.data)

    worker = QueueWorker(QUEUE, handler)
    running = asyncio.create_task(worker.start())  # nobody answers yet
    await asyncio.sleep(1.5)
    tries = caplog.text.count("a worker cannot look into its queue yet")
    assert 1 <= tries <= 6
    own_server.start()
    async with asyncio.timeout(15):
        while not seen:
            await QUEUED.enqueue(QUEUE, 1, job_id="j")
            await asyncio.sleep(0.1)
    await worker.stop()
    await running
    job = await QUEUED.get_job(QUEUE, "j")
    assert job is not None
    assert job.status is JobStatus.COMPLETED
    await aclose_all()
