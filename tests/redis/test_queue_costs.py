"""What each operation of a queue costs: commands, those inside scripts included, and round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.redis.queue import QueueService
from common.redis.queue_models import Job, NewJob
from common.redis.queue_take import FORGET_EVERY_MS, LOOK_EVERY_MS
from common.redis.worker import QueueWorker
from tests.redis.queueing import QUEUE, new_process
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from common.redis.client import RedisClient
    from tests.redis.counting import Count, Spent

__all__ = ["new_process"]

QUEUES = QueueService()


def wake() -> None:
    pass


@pytest.fixture
async def time(client: RedisClient) -> AsyncIterator[Timeline]:
    """Time stands still, and this process has just counted, looked and forgotten: what follows is the usual cost."""
    with Timeline(client) as time:
        await QUEUES.enqueue(QUEUE, 0, job_id="first")
        await QUEUES.take(QUEUE)
        await QUEUES.clear_queue(QUEUE)
        yield time


async def taken(n: int) -> list[Job]:
    await QUEUES.enqueue_many(QUEUE, [NewJob(number) for number in range(n)])
    return (await QUEUES.take(QUEUE, n)).jobs


async def test_the_whole_life_of_a_job(time: Timeline, count: Count) -> None:
    async with count() as spent:
        await QUEUES.enqueue(QUEUE, {"a": 1}, 5, job_id="j", wake=wake)
        job = await QUEUES.dequeue(QUEUE)
        assert job is not None
        await QUEUES.ack(job, {"b": 2})
    assert (spent.commands, spent.round_trips) == (11, 3), spent


async def test_the_whole_life_of_ten_jobs(time: Timeline, count: Count) -> None:
    async with count() as spent:
        await QUEUES.enqueue_many(QUEUE, [NewJob(number, 0, f"j{number}") for number in range(10)], wake=wake)
        jobs = (await QUEUES.take(QUEUE, 10)).jobs
        assert await QUEUES.ack_many([(job, {"b": 2}) for job in jobs]) == [True] * 10
    assert (spent.commands, spent.round_trips) == (12, 3), spent


async def test_enqueueing(time: Timeline, count: Count) -> None:
    for cost, operation in (
        (3, QUEUES.enqueue(QUEUE, 1)),
        (3, QUEUES.enqueue(QUEUE, 1, job_id="j")),
        (4, QUEUES.enqueue(QUEUE, 1, wake=wake)),
        (2, QUEUES.enqueue(QUEUE, 1, job_id="j")),
        (5, QUEUES.enqueue(QUEUE, 1, delay=5)),
        (5, QUEUES.enqueue_many(QUEUE, [NewJob(number) for number in range(20)])),
    ):
        async with count() as spent:
            await operation
        assert (spent.commands, spent.round_trips) == (cost, 1), spent


async def test_taking(time: Timeline, count: Count) -> None:
    async def take(n: int) -> Spent:
        async with count() as spent:
            await QUEUES.take(QUEUE, n)
        return spent

    await QUEUES.enqueue_many(QUEUE, [NewJob(number) for number in range(40)])
    assert (await take(1)).commands == 4
    assert (await take(20)).commands == 4
    time.step(LOOK_EVERY_MS / 1000)
    assert (await take(1)).commands == 5
    time.step(FORGET_EVERY_MS / 1000)
    assert (await take(18)).commands == 8, "21 leases had ended: they are moved"
    await QUEUES.clear_queue(QUEUE)
    empty = await take(10)
    assert (empty.commands, empty.round_trips) == (3, 1), empty
    await QUEUES.pause(QUEUE)
    assert (await take(10)).commands == 3


async def test_settling(time: Timeline, count: Count) -> None:
    jobs = await taken(30)
    for cost, operation in (
        (3, QUEUES.ack(jobs[0], {"a": 1})),
        (3, QUEUES.ack_many([(job, None) for job in jobs[1:11]])),
        (4, QUEUES.nack(jobs[11], "no")),
        (4, QUEUES.release(jobs[12:22])),
        (4, QUEUES.ack_many([(jobs[12], None), (jobs[22], None)])),
        (8, QUEUES.nack(jobs[23], "no", final=True)),
        (3, QUEUES.progress(jobs[24], 0.5)),
    ):
        async with count() as spent:
            await operation
        assert (spent.commands, spent.round_trips) == (cost, 1), spent


async def test_heartbeats(time: Timeline, count: Count) -> None:
    jobs = await taken(30)
    time.step(1)
    async with count() as spent:
        assert await QUEUES.heartbeat(jobs) == []
    assert (spent.commands, spent.round_trips) == (2, 1), spent
    await QUEUES.release(jobs[:1])
    async with count() as spent:
        assert await QUEUES.heartbeat(jobs) == jobs[:1]
    assert (spent.commands, spent.round_trips) == (3, 1), spent


async def test_reading(time: Timeline, count: Count) -> None:
    (job,) = await taken(1)
    await QUEUES.ack(job)
    waiting = await QUEUES.enqueue(QUEUE, 1)
    for cost, trips, operation in (
        (2, 1, QUEUES.get_job(QUEUE, job.job_id)),
        (4, 2, QUEUES.get_job(QUEUE, waiting)),
        (2, 1, QUEUES.get_job(QUEUE, "unknown")),
        (2, 2, QUEUES.peek(QUEUE)),
        (1, 1, QUEUES.queue_length(QUEUE)),
        (4, 1, QUEUES.stats(QUEUE)),
        (1, 1, QUEUES.pause(QUEUE)),
        (2, 1, QUEUES.resume(QUEUE)),
        (1, 1, QUEUES.dead_letters(QUEUE)),
    ):
        async with count() as spent:
            await operation
        assert (spent.commands, spent.round_trips) == (cost, trips), spent


async def test_dead_letters_and_clearing(time: Timeline, count: Count) -> None:
    jobs = await taken(2)
    for job in jobs:
        await QUEUES.nack(job, "no", final=True)
    operations: list[tuple[int, int, Any]] = [
        (2, 2, QUEUES.dead_letters(QUEUE)),
        (10, 2, QUEUES.replay(QUEUE, [job.job_id for job in jobs])),
        (5, 1, QUEUES.clear_queue(QUEUE)),
    ]
    for cost, trips, operation in operations:
        async with count() as spent:
            await operation
        assert (spent.commands, spent.round_trips) == (cost, trips), spent


async def test_a_worker_shares_what_its_jobs_cost(time: Timeline, count: Count) -> None:
    """Ten jobs that end together: one look, one acknowledgement, and a last look that finds nothing."""

    async def handler(job: Job) -> None: ...

    async with count() as spent:
        await QUEUES.enqueue_many(QUEUE, [NewJob(number) for number in range(10)], wake=wake)
        drained = await QueueWorker(QUEUE, handler, concurrency=10).drain()
    assert drained.completed == 10
    assert (spent.commands, spent.round_trips) == (5 + 4 + 3 + 3, 4), spent
