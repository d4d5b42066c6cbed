"""Workers and their leases: kept, lost, and what is then not done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from common.redis.queue import QueueService
from common.redis.queue_models import Job, JobStatus, NewJob
from common.redis.queue_settle import lost
from common.redis.worker import QueueWorker
from tests.redis.faults import Fate, faults
from tests.redis.queueing import QUEUE, fast_leases, new_process

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

__all__ = ["new_process"]

QUEUED = QueueService()


async def test_a_long_job_keeps_its_lease(client: RedisClient, count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    fast_leases(monkeypatch)
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(3)])

    async def handler(job: Job) -> None:
        await asyncio.sleep(0.75)
        assert (await QUEUED.take(QUEUE)).jobs == []

    drained = await QueueWorker(QUEUE, handler).drain()
    assert (drained.completed, drained.lost) == (3, 0)


async def test_who_loses_a_lease_is_cancelled_and_acknowledges_nothing(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast_leases(monkeypatch)
    await QUEUED.enqueue(QUEUE, 1, job_id="j")
    cancelled = asyncio.Event()

    async def handler(job: Job) -> None:
        await QUEUED.release([job])  # as if it had been thought dead
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    worker = QueueWorker(QUEUE, handler)
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    left = await asyncio.wait_for(worker.process_job(job), 2)
    assert cancelled.is_set()
    assert left.status is JobStatus.PROCESSING
    assert await QUEUED.queue_length(QUEUE) == 1


async def test_while_no_heartbeat_gets_through_a_handler_ends_with_its_lease(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast_leases(monkeypatch)
    await QUEUED.enqueue(QUEUE, 1, job_id="j")
    loop = asyncio.get_running_loop()
    ended: list[float] = []

    async def handler(job: Job) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(loop.time())

    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    began = loop.time()
    fates: list[Fate] = ["not sent"] * 20
    with faults(*fates):
        left = await asyncio.wait_for(QueueWorker(QUEUE, handler).process_job(job), 2)
    assert ended[0] - began <= 0.3 + 0.2
    assert left.status is JobStatus.PROCESSING
    assert left.error is not None
    assert "the lease of job j in queue 'tests' has ended" in left.error


@pytest.mark.parametrize("held", [True, False])
async def test_a_job_that_lay_about_is_begun_only_if_it_is_still_held(client: RedisClient, held: bool) -> None:
    """As when Redis was slow, or the process frozen, between the look and the handler."""
    ran: list[str] = []

    async def handler(job: Job) -> None:
        ran.append(job.job_id)

    await QUEUED.enqueue(QUEUE, 1, job_id="j")
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    assert job.started_at is not None
    if not held:
        await QUEUED.release([job])
    left = await QueueWorker(QUEUE, handler).process_job(
        replace(job, started_at=job.started_at - timedelta(seconds=16))
    )
    assert left.status is (JobStatus.COMPLETED if held else JobStatus.PROCESSING)
    assert ran == (["j"] if held else [])


async def test_a_handler_that_hears_of_its_loss_may_say_so(client: RedisClient) -> None:
    await QUEUED.enqueue(QUEUE, 1)

    async def handler(job: Job) -> None:
        await QUEUED.release([job])
        await QUEUED.progress(job, 1)

    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    left = await QueueWorker(QUEUE, handler).process_job(job)
    assert left.status is JobStatus.PROCESSING
    assert left.error == str(lost(job))


async def test_an_acknowledgement_whose_answer_is_lost_is_repeated(client: RedisClient) -> None:
    ran: list[str] = []

    async def handler(job: Job) -> int:
        ran.append(job.job_id)
        return 7

    await QUEUED.enqueue(QUEUE, 1, job_id="j")
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    with faults("answer lost", "not sent", "answer lost"):
        done = await QueueWorker(QUEUE, handler).process_job(job)
    assert (done.status, ran) == (JobStatus.COMPLETED, ["j"])
    kept = await QUEUED.get_job(QUEUE, "j")
    assert kept is not None
    assert kept.result == 7


async def test_a_failure_that_cannot_be_told_comes_back_with_its_lease(client: RedisClient) -> None:
    async def handler(job: Job) -> int:
        raise ValueError("no")

    await QUEUED.enqueue(QUEUE, 1)
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    with faults("not sent"):
        left = await QueueWorker(QUEUE, handler).process_job(job)
    assert (left.status, left.error) == (JobStatus.PROCESSING, "ValueError: no")
    assert await QUEUED.heartbeat([job]) == []
