"""``arq``, which polls every 5 ms here rather than twice a second, as it does by default: else it would only wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


async def nothing(_context: Any) -> None:
    """The job."""


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Enqueueing, working until nothing is left, and waiting for work."""
    settings = RedisSettings.from_dsn(url)
    pool = await create_pool(settings)

    def worker(tasks: int, *, burst: bool, poll: float) -> Worker:
        return Worker(
            functions=[nothing],
            redis_settings=settings,
            max_jobs=tasks,
            burst=burst,
            poll_delay=poll,
            handle_signals=False,
        )

    async def enqueue(_number: int) -> None:
        await pool.enqueue_job("nothing")

    async def work(tasks: int, count: int) -> None:
        made = worker(tasks, burst=True, poll=0.005)
        await made.main()
        if made.jobs_complete < count:
            raise RuntimeError(f"worked {made.jobs_complete} of {count} jobs")
        await made.close()

    waiting: list[tuple[Worker, asyncio.Task[None]]] = []

    async def start(tasks: int, _count: int) -> None:
        made = worker(tasks, burst=False, poll=0.5)
        waiting.append((made, asyncio.create_task(made.main())))
        await asyncio.sleep(1)

    async def idle(_tasks: int, count: int) -> None:
        await asyncio.sleep(count)

    async def stop(_tasks: int, _count: int) -> None:
        made, running = waiting.pop()
        running.cancel()
        await asyncio.wait([running])
        await made.close()

    yield {"enqueue": each(enqueue), "work": work, "start": start, "idle": idle, "stop": stop}
    await pool.aclose()


if __name__ == "__main__":
    serve(prepare)
