"""Ours: `QueueService` and `QueueWorker`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from common.lifecycle import aclose_all
from common.redis.queue import QueueService
from common.redis.queue_models import NewJob
from common.redis.worker import QueueWorker
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from common.redis.queue_models import Job
    from scripts.benchmarks.sides.serve import Operation

QUEUE = "default"
DATA = {"workspace": "w1", "number": 1}
BATCH = 10


async def nothing(_job: Job) -> None:
    """The job."""


def by_calls() -> dict[str, Operation]:
    """Enqueueing, taking and acknowledging: one job at a time, and ten at a time."""
    queue = QueueService()

    async def enqueue(_number: int) -> None:
        await queue.enqueue(QUEUE, DATA)

    async def work(_number: int) -> None:
        job = await queue.dequeue(QUEUE)
        if job is None:
            raise RuntimeError("no job")
        await queue.ack(job, {"done": True})

    async def enqueue_ten(_number: int) -> None:
        await queue.enqueue_many(QUEUE, [NewJob(DATA) for _ in range(BATCH)])

    async def work_ten(_number: int) -> None:
        jobs = (await queue.take(QUEUE, BATCH)).jobs
        if not all(await queue.ack_many([(job, {"done": True}) for job in jobs])) or len(jobs) != BATCH:
            raise RuntimeError("not ten jobs")

    one, ten = {"enqueue": enqueue, "work": work}, {"enqueue ten": enqueue_ten, "work ten": work_ten}
    return {name: each(operation) for name, operation in (one | ten).items()}


def by_a_worker() -> dict[str, Operation]:
    """Working until nothing is left, and waiting for work."""
    waiting: list[tuple[QueueWorker, asyncio.Task[None]]] = []

    async def drain(tasks: int, count: int) -> None:
        drained = await QueueWorker(QUEUE, nothing, concurrency=tasks).drain()
        if drained.completed != count:
            raise RuntimeError(f"worked {drained.completed} of {count} jobs")

    async def start(tasks: int, _count: int) -> None:
        worker = QueueWorker(QUEUE, nothing, concurrency=tasks)
        waiting.append((worker, asyncio.create_task(worker.start())))
        await asyncio.sleep(1)

    async def idle(_tasks: int, count: int) -> None:
        await asyncio.sleep(count)

    async def stop(_tasks: int, _count: int) -> None:
        worker, running = waiting.pop()
        await worker.stop()
        await running

    return {"drain": drain, "start": start, "idle": idle, "stop": stop}


@asynccontextmanager
async def prepare(_url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """A queue in both ways."""
    yield by_calls() | by_a_worker()
    await aclose_all()


if __name__ == "__main__":
    serve(prepare)
