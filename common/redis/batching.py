"""Many callers, one connection: what is asked for in one turn of the event loop leaves in one write.

    caller ──▶ queue ──(end of the turn)──▶ one write ──▶ connection ──▶ answers, in order ──▶ each caller its own

Nothing waits for earlier answers before it leaves. A caller that gives up keeps its place in the order, so no answer
can reach somebody else. A connection on which an answer did not come in time gets no further command. What was not
written yet survives a lost connection; what was written is repeated only if that does no harm.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from collections import deque
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import Misconfigured, Unavailable
from common.functions.deadline import remaining
from common.lifecycle import per_loop
from common.redis.config import RedisConfig
from common.redis.errors import OutcomeUnknown, Overloaded
from common.redis.request import Request

if TYPE_CHECKING:
    from common.redis.link import Link

log = logging.getLogger(__name__)

MAX_WAITING_BYTES = 32_000_000
"""Of commands not yet written; beyond it callers are refused rather than memory filled."""

MAX_WRITE_BYTES = 256_000
_FIRST_PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class Statistics:
    """What a client did so far.

    Attributes:
        connections: opened.
        writes: to a connection, each one round trip at most.
        commands: sent, those inside scripts not included.
        repeated: requests that were sent again after a lost connection.
        timeouts: requests whose answer did not come in time.
    """

    connections: int = 0
    writes: int = 0
    commands: int = 0
    repeated: int = 0
    timeouts: int = 0


class Batcher:
    """The connection of one event loop, opened when it is needed and replaced when it is lost."""

    def __init__(self, config: RedisConfig) -> None:
        self.config = config
        self.statistics = Statistics()
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Request] = deque()
        self._queued_bytes = 0
        self._link: Link | None = None
        self._links: set[Link] = set()  # and those that are retired and not closed yet
        self._alarm: asyncio.TimerHandle | None = None  # one for all: each its own would take as long as packing does
        self._rings = 0.0  # when, by the loop's clock: uvloop's handle of a time that is nearly now does not say
        self._flushing = False
        self._working: asyncio.Task[None] | None = None  # connects, or waits for the server to read

    def submit(
        self, payload: bytes, commands: int, *, idempotent: bool = False, seconds: float | None = None
    ) -> asyncio.Future[list[Any]]:
        """Send commands that belong together; to be awaited: their answers, an error among them as our exception.

        Args:
            payload: the commands, packed.
            commands: how many.
            idempotent: sending them twice does no harm.
            seconds: to wait in all, if not the configured times; always cut to what is left of the invocation.

        Raises:
            Unavailable: not executed: Redis cannot be reached.
            OutcomeUnknown: sent, but no answer came in time.
            Overloaded: too much waits already.
            Misconfigured: the password is refused.
        """
        if self._queued_bytes + len(payload) > MAX_WAITING_BYTES:
            raise Overloaded(f"{self._queued_bytes} bytes wait for Redis already", retry_after=1)
        if seconds is None:
            seconds = self.config.command_timeout + (self.config.connect_timeout if self._link is None else 0)
        seconds = remaining(seconds)
        due = self._loop.time() + seconds
        request = Request(payload, commands, self._loop.create_future(), seconds, due, idempotent)
        self._queue.append(request)
        self._queued_bytes += len(payload)
        self._flush_soon()
        if self._alarm is None or due < self._rings:
            self._set_alarm(due)
        return request.future

    async def aclose(self) -> None:
        """Close the connection; whoever waits is told. The next call opens a new one."""
        self._fail(Unavailable("the Redis client is being closed"))
        self._link = None
        if self._alarm is not None:  # now: who asks while we close sets it again
            self._alarm.cancel()
            self._alarm = None
        if (working := self._working) is not None:
            working.cancel()
            await asyncio.wait([working])
        for link in list(self._links):
            await link.aclose()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush, context=Context())

    def _flush(self) -> None:
        self._flushing = False
        if self._working is not None or not self._queue:
            return
        if self._link is not None and not self._link.usable():
            self._link.retire()
            self._link = None
        if self._link is None:
            self._start(self._connect())
        elif self._link.congested:
            self._start(self._link.drain())
        elif batch := self._take():
            self._link.write(batch)
            self.statistics.writes += 1
            self.statistics.commands += sum(request.commands for request in batch)
            if self._queue:
                self._flush_soon()

    def _take(self) -> list[Request]:
        batch: list[Request] = []
        size = 0
        while self._queue and size < MAX_WRITE_BYTES:
            request = self._queue.popleft()
            self._queued_bytes -= len(request.payload)
            if not request.future.done():  # its caller may have given up: then it never leaves
                batch.append(request)
                size += len(request.payload)
        return batch

    def _start(self, work: Any) -> None:
        self._working = self._loop.create_task(work, context=Context())
        self._working.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._working = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        elif self._queue:
            self._flush_soon()

    async def _connect(self) -> None:
        link = await self._opened()
        self.statistics.connections += 1
        link.lost = self._lost
        self._link = link
        self._links.add(link)

    async def _opened(self) -> Link:
        from common.redis.link import open_link  # noqa: PLC0415 - imports the client library

        pause = _FIRST_PAUSE_SECONDS
        for _ in range(self.config.retries):
            try:
                return await open_link(self.config, Context())
            except Unavailable:
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads tries, keeps no secret
                pause *= 3
        return await open_link(self.config, Context())

    def _lost(self, link: Link, error: BaseException) -> None:
        self._links.discard(link)
        if self._link is link:
            self._link = None
        closed = isinstance(error, asyncio.CancelledError)  # by us, and not to be opened again
        again, lost = [], 0
        for request in link.waiting:
            if request.future.done():
                continue
            if isinstance(error, Misconfigured):
                request.future.set_exception(_own(error))
            elif request.idempotent and request.tries <= self.config.retries and not closed:
                request.replies, request.link = [], None
                again.append(request)
            else:
                lost += 1
                request.future.set_exception(
                    OutcomeUnknown(f"the connection to Redis was lost ({type(error).__name__})")
                )
        if lost:
            log.warning(
                "the connection to Redis was lost",
                extra={"fields": {"reason": type(error).__name__, "repeated": len(again), "unknown": lost}},
            )
        if isinstance(error, Misconfigured):
            self._fail(error)
        link.waiting.clear()
        self._queue.extendleft(reversed(again))
        self._queued_bytes += sum(len(request.payload) for request in again)
        self.statistics.repeated += len(again)
        if self._queue:
            self._flush_soon()

    def _set_alarm(self, due: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._rings = due
        self._alarm = self._loop.call_at(due, self._ring, context=Context())

    def _ring(self) -> None:
        """Tell those whose time is over, close what nobody waits for any more, and wait for the next ones' time."""
        self._alarm = None
        now = self._loop.time()
        waiting = [*self._queue, *(request for link in self._links for request in link.waiting)]
        for request in waiting:
            if request.due <= now and not request.future.done():
                self._expire(request)
        for link in list(self._links):
            if not link.usable():  # given up, and the last one who waited may have been cancelled
                link.retire()
        if left := [request.due for request in waiting if not request.future.done()]:
            self._set_alarm(min(left))

    def _expire(self, request: Request) -> None:
        self.statistics.timeouts += 1
        if request.link is None:
            unreached = Unavailable(f"Redis could not be reached in {request.seconds:.1f} s")
            request.future.set_exception(_for(request, unreached))
            return
        request.future.set_exception(OutcomeUnknown(f"Redis did not answer in {request.seconds:.1f} s"))
        if self._link is request.link:
            self._link = None
        request.link.retire()

    def _fail(self, error: BaseException) -> None:
        for request in self._queue:
            if not request.future.done():
                request.future.set_exception(_for(request, error))
        self._queue.clear()
        self._queued_bytes = 0


def _for(request: Request, error: BaseException) -> BaseException:
    """Why ``request`` could not be sent: in doubt where it had been, on a connection that was lost since."""
    if request.tries and type(error) is Unavailable:
        return OutcomeUnknown(f"the connection to Redis was lost after it was sent, and then: {error}")
    return _own(error)


def _own(error: BaseException) -> BaseException:
    """A copy for one caller: an exception that several raise would collect all their traces."""
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own


@per_loop
def shared_batcher() -> Batcher:
    """The connection that everybody on this event loop shares, to where the environment says."""
    return Batcher(RedisConfig.from_environment())
