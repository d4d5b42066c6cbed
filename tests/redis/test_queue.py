"""The life of a job, on every server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.functions.context import RequestContext, bind
from common.redis.errors import LeaseLost
from common.redis.queue import QueueService
from common.redis.queue_models import JobStatus, NewJob, QueueStats
from tests.redis.queueing import QUEUE, SETTINGS, new_process
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient

__all__ = ["new_process"]

DATA: dict[str, Any] = {"to": "₹", "empty": [], "none": None, "deep": [{"a": [1.5, True]}], "\n": "\u2028\n|"}


@pytest.fixture
def queue() -> QueueService:
    return QueueService(jitter=lambda: 1.0)


async def life(queue: QueueService) -> None:
    job_id = await queue.enqueue(QUEUE, DATA, 7)
    waiting = await queue.get_job(QUEUE, job_id)
    assert waiting is not None
    assert waiting == await queue.peek(QUEUE)
    assert (waiting.status, waiting.data, waiting.priority, waiting.attempt) == (JobStatus.PENDING, DATA, 7, 0)
    job = await queue.dequeue(QUEUE)
    assert job is not None
    assert (job.job_id, job.status, job.data, job.attempt) == (job_id, JobStatus.PROCESSING, DATA, 1)
    assert await queue.dequeue(QUEUE) is None
    await queue.progress(job, {"percent": 40})
    running = await queue.get_job(QUEUE, job_id)
    assert running is not None
    assert (running.status, running.progress) == (JobStatus.PROCESSING, {"percent": 40})
    done = await queue.ack(job, {"sent": [], "n": None})
    assert (done.status, done.result, done.data) == (JobStatus.COMPLETED, {"sent": [], "n": None}, None)
    assert done.completed_at is not None
    kept = await queue.get_job(QUEUE, job_id)
    assert kept is not None
    assert (kept.status, kept.result, kept.completed_at) == (done.status, done.result, done.completed_at)
    assert (kept.created_at, kept.started_at, kept.attempt) == (job.created_at, job.started_at, 1)
    assert await queue.stats(QUEUE) == QueueStats(ready=0, delayed=0, running=0, dead=0, paused=False)


async def test_enqueue_dequeue(client: RedisClient, queue: QueueService) -> None:
    await life(queue)


async def test_enqueue_dequeue_on_the_double(mock_redis: RedisClient, queue: QueueService) -> None:
    await life(queue)


async def test_priority_queue(client: RedisClient, queue: QueueService) -> None:
    """Exact at the bounds, and first come first served within one priority."""
    priorities = [0, -2047, 2047, 1, 2046, -2046, -1, 0, 2047, -2047]
    ids = [await queue.enqueue(QUEUE, number, priority) for number, priority in enumerate(priorities)]
    first = await queue.peek(QUEUE)
    assert first is not None
    assert first.job_id == ids[2]
    jobs = [await queue.dequeue(QUEUE) for _ in priorities]
    order = sorted(range(len(priorities)), key=lambda number: -priorities[number])
    assert [job.data for job in jobs if job] == order


async def test_a_producer_keeps_its_order_within_one_instant(client: RedisClient, queue: QueueService) -> None:
    with Timeline(client) as time:
        for number in range(50):
            await queue.enqueue(QUEUE, number, job_id=f"{50 - number:02}")
        time.step(-3600)  # the machine's clock is set back
        await queue.enqueue_many(QUEUE, [NewJob(number) for number in range(50, 100)])
        taken = await queue.take(QUEUE, 100)
    assert [job.data for job in taken.jobs] == list(range(100))


async def test_queue_length(client: RedisClient, queue: QueueService) -> None:
    assert await queue.queue_length(QUEUE) == 0
    for number in range(3):
        await queue.enqueue(QUEUE, number)
    await queue.enqueue(QUEUE, 4, delay=60)
    assert await queue.queue_length(QUEUE) == 3
    await queue.dequeue(QUEUE)
    assert await queue.queue_length(QUEUE) == 2
    assert await queue.stats(QUEUE) == QueueStats(ready=2, delayed=1, running=1, dead=0, paused=False)


async def test_a_known_job_is_not_enqueued_again(client: RedisClient, queue: QueueService) -> None:
    """While it waits, is delayed, runs, is dead or its result is kept; then it is a new one."""

    async def again() -> int:
        await queue.enqueue(QUEUE, "other", job_id="j")
        await queue.enqueue_many(QUEUE, [NewJob("other", job_id="j"), NewJob("other", job_id="j")])
        return await queue.queue_length(QUEUE)

    with Timeline(client) as time:
        await queue.enqueue(QUEUE, "first", job_id="j", delay=10)
        assert await again() == 0
        await time.advance(10)
        job = await queue.dequeue(QUEUE)
        assert job is not None
        assert job.data == "first"
        assert await again() == 0
        await queue.nack(job, "no", delay=0)
        assert await again() == 1
        job = await queue.dequeue(QUEUE)
        assert job is not None
        await queue.nack(job, "never", final=True)
        assert await again() == 0
        await queue.replay(QUEUE, ["j"])
        job = await queue.dequeue(QUEUE)
        assert job is not None
        await queue.ack(job)
        assert await again() == 0
        await time.advance(SETTINGS.result_ttl)
        assert await queue.dequeue(QUEUE) is None
        assert await queue.get_job(QUEUE, "j") is None
        assert await again() == 1


async def test_a_delayed_job_becomes_ready_in_time(client: RedisClient, queue: QueueService) -> None:
    with Timeline(client) as time:
        await queue.enqueue(QUEUE, "later", job_id="j", delay=0.5)
        taken = await queue.take(QUEUE)
        assert taken.jobs == []
        assert taken.next_due is not None
        assert (taken.next_due - START).total_seconds() == 0.5
        await time.advance(0.499)
        assert await queue.dequeue(QUEUE) is None
        await time.advance(0.001)
        job = await queue.dequeue(QUEUE)
        assert job is not None
        assert job.job_id == "j"


async def test_a_dead_workers_job_is_back_when_its_lease_ends(client: RedisClient, queue: QueueService) -> None:
    with Timeline(client) as time:
        await queue.enqueue(QUEUE, "a", job_id="j")
        lost = await queue.dequeue(QUEUE)
        assert lost is not None
        await time.advance(29)
        assert await queue.heartbeat([lost]) == []
        await time.advance(29)
        taken = await queue.take(QUEUE)
        assert taken.jobs == []
        assert taken.next_due is not None
        await time.advance((taken.next_due - time.now).total_seconds())
        job = await queue.dequeue(QUEUE)
        assert job is not None
        assert (job.job_id, job.attempt) == ("j", 2)
        assert await queue.heartbeat([lost]) == [lost]
        for late in (
            queue.ack(lost),
            queue.nack(lost, "no"),
            queue.nack(lost, "no", final=True),
            queue.progress(lost, 1),
        ):
            with pytest.raises(LeaseLost, match="another worker has the job"):
                await late
        assert await queue.release([lost]) == 0
        assert await queue.ack_many([(lost, 1), (job, 2)]) == [False, True]
        kept = await queue.get_job(QUEUE, "j")
        assert kept is not None
        assert kept.result == 2


async def test_an_acknowledgement_may_be_repeated_and_nothing_else(client: RedisClient, queue: QueueService) -> None:
    await queue.enqueue(QUEUE, "a")
    job = await queue.dequeue(QUEUE)
    assert job is not None
    with Timeline(client):
        await queue.ack(job, 1)
        await queue.ack(job, 1)
    assert await queue.heartbeat([job]) == []
    for late in (queue.nack(job, "no"), queue.nack(job, "no", final=True), queue.progress(job, 1)):
        with pytest.raises(LeaseLost):
            await late
    assert await queue.release([job]) == 0
    assert await queue.stats(QUEUE) == QueueStats(ready=0, delayed=0, running=0, dead=0, paused=False)


async def test_a_job_given_back_stands_where_it_stood_and_no_try_is_spent(
    client: RedisClient, queue: QueueService
) -> None:
    for number in range(4):
        await queue.enqueue(QUEUE, number)
    taken = await queue.take(QUEUE, 3)
    assert await queue.release(taken.jobs[1:]) == 2
    again = await queue.take(QUEUE, 9)
    assert [(job.data, job.attempt) for job in again.jobs] == [(1, 1), (2, 1), (3, 1)]


async def test_the_trace_of_whoever_enqueued_goes_with_the_job(client: RedisClient, queue: QueueService) -> None:
    context = RequestContext("f", "a" * 32, "b" * 16, sampled=True, execution_id="")
    with bind(context):
        await queue.enqueue(QUEUE, 1)
    await queue.enqueue(QUEUE, 2)
    taken = await queue.take(QUEUE, 2)
    assert [job.traceparent for job in taken.jobs] == [context.traceparent, None]
