"""Renewing the leases of all jobs that a worker holds, together; who loses one is told.

    holder     take ─── beat ─── beat ─── (no answer) ──────┤ its own end: the handler is cancelled
    lease      |────────────────────|
                       |────────────────────|
                                |────────────────────┤──▶ another worker may have the job from here on

The holder's end is counted from before the request that renewed it, by its own monotonic clock: it stops first.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from common import clock
from common.errors import RaptorFlowError
from common.redis.queue_config import queue_settings
from common.redis.queue_settle import beat, lost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from common.redis.queue_models import Job

log = logging.getLogger(__name__)


class Heartbeat:
    """The leases that one worker holds in one queue; says nothing while it holds none."""

    def __init__(self, queue_name: str) -> None:
        self._queue_name = queue_name
        self._lease = queue_settings(queue_name).lease
        self._guards: dict[str, asyncio.Timeout] = {}
        self._beating: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def holding(self, job: Job) -> AsyncIterator[None]:
        """Keep a job's lease while the context lasts.

        Raises:
            LeaseLost: it is lost; what ran inside was cancelled.
        """
        age = 0.0 if job.started_at is None else (clock.now() - job.started_at).total_seconds()
        taken = asyncio.get_running_loop().time() - max(0.0, age)
        if age > self._lease / 2:  # Redis was slow, or this process frozen: begin nothing that may be another's already
            taken = asyncio.get_running_loop().time()
            if await beat(self._queue_name, [job.lease]):
                raise lost(job)
        guard = asyncio.timeout_at(taken + self._lease)
        try:
            async with guard:
                self._guards[job.lease] = guard
                if self._beating is None:
                    self._beating = asyncio.create_task(self._beat())
                yield
        except TimeoutError:
            if guard.expired():
                raise lost(job) from None
            raise
        finally:
            self._guards.pop(job.lease, None)
            if not self._guards and self._beating is not None:
                self._beating.cancel()
                self._beating = None

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._lease / 3
        while True:
            await asyncio.sleep(pause)
            pause = self._lease / 3
            sent, leases = loop.time(), list(self._guards)
            try:
                gone = await beat(self._queue_name, leases)
            except RaptorFlowError as error:
                reason = {"queue": self._queue_name, "jobs": len(leases), "error": repr(error)}
                log.warning("leases could not be renewed yet", extra={"fields": reason})
                pause = self._lease / 10
                continue
            for lease in leases:
                guard = self._guards.get(lease)
                if guard is not None and not guard.expired():
                    guard.reschedule(loop.time() if lease in gone else sent + self._lease)
