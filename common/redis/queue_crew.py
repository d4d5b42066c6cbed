"""The jobs that a worker runs at a time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from common.redis.queue_models import Job

log = logging.getLogger(__name__)


class Crew:
    """Up to so many jobs at a time, each a task.

    Args:
        size: how many.
        ended: called when one has ended.
    """

    def __init__(self, size: int, ended: Callable[[Job], object]) -> None:
        self._size = size
        self._ended = ended
        self._running: dict[asyncio.Task[Job], Job] = {}

    @property
    def free(self) -> int:
        """How many more may be started."""
        return self._size - len(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def start(self, job: Job, work: Coroutine[Any, Any, Job]) -> None:
        """Run ``work``, which answers the job as it has become."""
        task = asyncio.create_task(work)
        self._running[task] = job
        task.add_done_callback(self._done)

    async def one_ended(self, seconds: float) -> None:
        """Wait until one of them has ended, or for so long."""
        await asyncio.wait(self._running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def cut(self) -> list[Job]:
        """Cancel what runs; the jobs that were cut short."""
        rest = dict(self._running)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)
        return [job for task, job in rest.items() if task.cancelled()]

    def _done(self, task: asyncio.Task[Job]) -> None:
        job = self._running.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("a worker failed", exc_info=error, extra={"fields": {"job_id": job.job_id}})
        self._ended(job if error is not None else task.result())
