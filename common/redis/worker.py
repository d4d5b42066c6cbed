"""Working through a queue (R15): inside an invocation until it is empty (`drain`), or for as long as a process lives.

    async def send(job: Job) -> dict[str, Any]: ...       # what it returns, JSON, is kept as the job's result

    drained = await QueueWorker("emails", send).drain()   # in a function
    if drained.due_in is not None:
        ...                                               # create one Cloud Task, for then

An idle worker sends nothing: it sleeps until the next job is due, or until somebody rings (`queue_bells`), and looks
about once a minute in case that nobody could. `queue_processing` says what a handler's exceptions mean.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from common import clock
from common.backoff import pauses
from common.errors import RaptorFlowError, Unavailable
from common.functions.deadline import remaining
from common.redis.errors import InvalidJob
from common.redis.queue import QueueService
from common.redis.queue_bells import Bell, hearing, new_bell
from common.redis.queue_config import queue_settings
from common.redis.queue_crew import Crew
from common.redis.queue_models import Drained, Job, Taken
from common.redis.queue_processing import Handler, Processor

if TYPE_CHECKING:
    from datetime import datetime

log = logging.getLogger(__name__)

RESERVE_SECONDS = 5.0
HAND_BACK_SECONDS = 2.0
"""Of the deadline, for giving back what still runs."""

STOP_SECONDS = 6.0
"""That running jobs get once the worker is told to stop; the platform kills ten seconds after SIGTERM."""

LOOK_SECONDS = 64.0
"""Between looks of an idle worker, in case that nobody could wake it: 4,200 commands a day."""

_NO_DEADLINE = 1e9
_GLANCE_SECONDS = 0.25
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_TICK_SECONDS = 0.002
"""Timers wake a little early; what is due then is due."""


class QueueWorker:
    """Runs the jobs of one queue; for one `drain` or one `start`.

    Args:
        queue_name: a declared queue.
        handler_fn: async; called with each `Job`, perhaps twice with the same, on the event loop.
        concurrency: jobs at a time, from 1 to 100.
        reserve: seconds before the invocation's deadline from which on no job is begun: what a job takes.

    Raises:
        UnknownQueue: no such queue is declared.
        InvalidJob: the concurrency cannot be.
    """

    def __init__(
        self, queue_name: str, handler_fn: Handler, *, concurrency: int = 10, reserve: float = RESERVE_SECONDS
    ) -> None:
        queue_settings(queue_name)
        if not 1 <= concurrency <= 100:
            raise InvalidJob(f"a worker runs 1 to 100 jobs at a time, not {concurrency}")
        self._queue_name = queue_name
        self._service = QueueService()
        self._processor = Processor(queue_name, handler_fn, self._service)
        self._concurrency = concurrency
        self._reserve = reserve
        self._drained = Drained()
        self._bell: Bell | None = None
        self._stopping = False
        self._ended = asyncio.Event()
        self._ends = 0.0

    async def drain(self) -> Drained:
        """Work until the queue is empty, the deadline is near, or the instance is told to stop.

        Jobs that then still run have until two seconds before the deadline; what does not end is cancelled and put back
        at once, a try spent. So a job must fit into the invocation, and ``reserve`` must be what it takes.

        Raises:
            Unavailable: Redis cannot say what there is; what ran has ended, or was put back.
        """
        await self._work(until_empty=True)
        return self._drained

    async def start(self) -> None:
        """Work until `stop`; while Redis is down it backs off. A worker that was stopped does not start again.

        Example:
            >>> worker = QueueWorker("emails", send)
            >>> loop.add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(worker.stop()))
            >>> await worker.start()
        """
        bell = new_bell(self._queue_name)
        async with hearing(self._queue_name, bell):
            await self._work(until_empty=False, bell=bell)

    async def stop(self) -> None:
        """Take nothing more, let what runs end within six seconds, put back what does not; wait for that."""
        self._stopping = True
        if self._bell is not None:
            self._bell.ring()
            await self._ended.wait()

    async def process_job(self, job: Job) -> Job:
        """Run the handler on a job that was taken, renew its lease meanwhile, settle it; the job as it has become.

        COMPLETED, PENDING (to be tried again) or FAILED (a dead letter); still PROCESSING if another worker has it, or
        gets it when the lease ends.

        Raises:
            InvalidJob: it was not taken from this worker's queue.
        """
        return await self._processor.process(job)

    async def _work(self, *, until_empty: bool, bell: Bell | None = None) -> None:
        if self._bell is not None:
            raise RuntimeError("a worker works once: make a new one")
        self._bell = bell = bell or new_bell(self._queue_name)
        self._ends = monotonic() + remaining(_NO_DEADLINE)
        crew = Crew(self._concurrency, self._job_ended)
        try:
            await self._run(crew, bell, until_empty=until_empty)
            await self._let_end(crew)
        except Unavailable:
            await self._let_end(crew)
            raise
        finally:
            await self._put_back(await crew.cut())
            self._ended.set()

    async def _run(self, crew: Crew, bell: Bell, *, until_empty: bool) -> None:
        self._drained.has_more = more = True
        tries = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        busy, look_at = False, 0.0
        while self._may_take():
            idle_again = busy and crew.idle
            if not crew.free or not (more or bell.rung or idle_again or monotonic() >= look_at):
                await self._news(bell, look_at if crew.free else monotonic() + LOOK_SECONDS)
                continue
            bell.rung, free = False, crew.free
            try:
                taken = await self._take(free)
            except Unavailable as error:
                if until_empty:
                    raise
                log.warning("a worker cannot look into its queue yet", extra={"fields": {"error": repr(error)}})
                more = busy = False
                look_at = monotonic() + next(tries)
                continue
            tries = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
            for job in taken.jobs:
                crew.start(job, self.process_job(job))
            more, busy = len(taken.jobs) == free, not crew.idle
            look_at = monotonic() + _seconds_until(taken.next_due)
            if until_empty and crew.idle and self._may_take():
                self._drained.has_more, self._drained.next_due = False, taken.next_due
                return

    def _may_take(self) -> bool:
        """Whether there is time for a job; not once the deadline has moved closer: the instance is told to stop."""
        left = remaining(_NO_DEADLINE)
        return not self._stopping and left > self._reserve and monotonic() + left > self._ends - _GLANCE_SECONDS

    async def _take(self, n: int) -> Taken:
        taken = await self._service.take(self._queue_name, n)
        if taken.jobs and not self._may_take():  # SIGTERM came while Redis was asked: nothing of this has begun
            await self._service.release(taken.jobs)
            self._drained.handed_back += len(taken.jobs)
            return Taken([], None, taken.paused)
        return taken

    async def _news(self, bell: Bell, until: float) -> None:
        """Wait for a bell, the end of a job or the given time; with a deadline, glance at it now and then."""
        seconds = max(0.0, until - monotonic())
        if remaining(_NO_DEADLINE) < _NO_DEADLINE:
            seconds = min(seconds, _GLANCE_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await bell.news.wait()
        except TimeoutError:
            pass
        bell.news.clear()

    def _job_ended(self, job: Job) -> None:
        self._drained.count(job)
        if self._bell is not None:
            self._bell.news.set()

    async def _let_end(self, crew: Crew) -> None:
        """Let what runs end, as long as there is time."""
        hurry = self._stopping or remaining(_NO_DEADLINE) >= _NO_DEADLINE
        ends = monotonic() + (STOP_SECONDS if hurry else _NO_DEADLINE)
        while not crew.idle:
            left = min(ends - monotonic(), remaining(_NO_DEADLINE) - HAND_BACK_SECONDS)
            if left <= 0:
                return
            await crew.one_ended(min(left, _GLANCE_SECONDS))

    async def _put_back(self, jobs: list[Job]) -> None:
        self._drained.handed_back += len(jobs)
        nacks = (self._service.nack(job, "its worker was told to stop", delay=0) for job in jobs)
        for refused in await asyncio.gather(*nacks, return_exceptions=True):
            if isinstance(refused, RaptorFlowError):
                log.warning(
                    "a job comes back when its lease ends",
                    extra={"fields": {"queue": self._queue_name, "error": repr(refused)}},
                )


def _seconds_until(due: datetime | None) -> float:
    if due is None:
        return LOOK_SECONDS
    return min(LOOK_SECONDS, max(0.0, (due - clock.now()).total_seconds()) + _TICK_SECONDS)
