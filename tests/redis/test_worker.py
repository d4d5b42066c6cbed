"""Workers: what they do with jobs, and with failures."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput, Unavailable
from common.functions.context import RequestContext, bind, current
from common.redis.errors import InvalidJob, UnknownQueue
from common.redis.queue import QueueService
from common.redis.queue_config import QUEUES
from common.redis.queue_models import Job, JobStatus, NewJob
from common.redis.worker import QueueWorker
from tests.redis.queueing import QUEUE, SETTINGS, new_process, until, working

if TYPE_CHECKING:
    from common.redis.client import RedisClient

__all__ = ["new_process"]

QUEUED = QueueService()


async def test_a_worker_drains_a_queue(client: RedisClient) -> None:
    seen: list[Any] = []

    async def handler(job: Job) -> dict[str, Any]:
        seen.append(job.data)
        return {"doubled": job.data * 2}

    ids = await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(25)])
    drained = await QueueWorker(QUEUE, handler, concurrency=4).drain()
    assert (drained.completed, drained.has_more, drained.due_in) == (25, False, None)
    assert seen == list(range(25))
    job = await QUEUED.get_job(QUEUE, ids[7])
    assert job is not None
    assert job.result == {"doubled": 14}


async def test_no_more_jobs_run_at_a_time_than_may(client: RedisClient) -> None:
    running = most = 0

    async def handler(job: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002 * job.data)
        running -= 1

    await QUEUED.enqueue_many(QUEUE, [NewJob(number % 5) for number in range(60)])
    drained = await QueueWorker(QUEUE, handler, concurrency=3).drain()
    assert (drained.completed, most) == (60, 3)


@pytest.mark.parametrize(
    ("error", "status", "due"),
    [
        (ValueError("no"), JobStatus.PENDING, 2),
        (Unavailable("down"), JobStatus.PENDING, 2),
        (Unavailable("down", retry_after=40), JobStatus.PENDING, 40),
        (TimeoutError("slow"), JobStatus.PENDING, 2),
        (InvalidInput("never"), JobStatus.FAILED, None),
    ],
)
async def test_what_a_handler_raises_decides(
    client: RedisClient, error: Exception, status: JobStatus, due: float | None
) -> None:
    async def handler(job: Job) -> None:
        raise error

    await QUEUED.enqueue(QUEUE, 1, job_id="j")
    drained = await QueueWorker(QUEUE, handler).drain()
    assert (drained.retried, drained.buried) == ((0, 1) if due is None else (1, 0))
    job = await QUEUED.get_job(QUEUE, "j")
    assert job is not None
    assert job.status is status
    if due is None:
        assert drained.due_in is None
        assert job.error == f"{type(error).__name__}: {error}"
    else:
        assert drained.due_in is not None
        assert due / 2 - 1 < drained.due_in <= due


async def test_a_result_that_is_no_json_is_a_dead_letter_that_says_so(client: RedisClient) -> None:
    async def handler(job: Job) -> Any:
        return {"when": object()} if job.data else {"fine": True}

    await QUEUED.enqueue_many(QUEUE, [NewJob(0), NewJob(1), NewJob(0)])
    drained = await QueueWorker(QUEUE, handler).drain()
    assert (drained.completed, drained.buried) == (2, 1)
    (letter,) = await QUEUED.dead_letters(QUEUE)
    assert letter.error is not None
    assert "a job's result must be JSON" in letter.error


async def test_the_last_try_makes_a_dead_letter(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUEUES, QUEUE, replace(SETTINGS, backoff=0.01))
    tries: list[int] = []

    async def handler(job: Job) -> None:
        tries.append(job.attempt)
        raise ValueError("no")

    await QUEUED.enqueue(QUEUE, 1)
    async with working(QueueWorker(QUEUE, handler)):
        await until(lambda: len(tries) == 3)
    assert tries == [1, 2, 3]
    assert [letter.error for letter in await QUEUED.dead_letters(QUEUE)] == ["ValueError: no"]


async def test_one_job_is_processed_by_hand(client: RedisClient) -> None:
    async def handler(job: Job) -> int:
        return int(job.data) + 1

    worker = QueueWorker(QUEUE, handler)
    await QUEUED.enqueue(QUEUE, 1)
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    done = await worker.process_job(job)
    assert (done.status, done.result) == (JobStatus.COMPLETED, 2)
    with pytest.raises(InvalidJob, match="was not taken"):
        await worker.process_job(Job("j", QUEUE, 1))


async def test_the_handler_belongs_to_the_trace_of_whoever_enqueued(client: RedisClient) -> None:
    seen: list[RequestContext | None] = []

    async def handler(job: Job) -> None:
        seen.append(current())

    with bind(RequestContext("asks", "a" * 32, "b" * 16, sampled=True, execution_id="e1")):
        await QUEUED.enqueue(QUEUE, 1, job_id="j")
    await QueueWorker(QUEUE, handler).drain()
    await QUEUED.enqueue(QUEUE, 1, job_id="k")
    with bind(RequestContext("drains", "c" * 32, "d" * 16, sampled=False, execution_id="e2")):
        await QueueWorker(QUEUE, handler).drain()
    first, second = seen
    assert first is not None
    assert second is not None
    assert (first.function, first.trace, first.sampled, first.event_id) == ("queue_tests", "a" * 32, True, "j")
    assert (second.function, second.trace, second.execution_id, second.event_id) == ("drains", "c" * 32, "e2", "k")
    assert second.span_id not in {"d" * 16, first.span_id}


async def test_a_bad_worker_is_refused() -> None:
    async def handler(job: Job) -> None: ...

    with pytest.raises(UnknownQueue):
        QueueWorker("nowhere", handler)
    for concurrency in (0, 101):
        with pytest.raises(InvalidJob, match="1 to 100"):
            QueueWorker(QUEUE, handler, concurrency=concurrency)
