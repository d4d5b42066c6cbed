"""How long the current invocation may still take.

The platform answers the caller at the function's timeout but lets the code run on, into the next request; so each
invocation has a deadline of its own, a margin before that timeout, and every call to a dependency is cut to what is
left of it. When the instance is told to stop, all deadlines move to the little time that it has left.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING

from common.errors import Unavailable
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

MARGIN_SECONDS = 1.0
"""Kept back from a function's timeout to answer and to log."""


class DeadlineExceeded(Unavailable):
    """The invocation used up its time; whatever it had not committed is undone."""


class _Deadline:
    """What `within` enters; a class, since a generator takes twice as long and every invocation enters one."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        self._token = _current.set(self)
        self._watch = _watch()
        self._watch.add(self)
        await self.timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.timeout.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            raise DeadlineExceeded(_TOLD) from expired
        finally:
            self._watch.running.discard(self)
            _current.reset(self._token)
        if isinstance(error, TimeoutError) and self.timeout.expired():  # a call inside noticed it first
            raise DeadlineExceeded(_TOLD) from error


class _Watch:
    """One timer for all deadlines of an event loop: a timer each was a tenth of what the runtime costs a request."""

    def __init__(self) -> None:
        self.running: set[_Deadline] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0

    def add(self, deadline: _Deadline) -> None:
        self.running.add(deadline)
        self._ring_at(deadline.ends)

    def shorten(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        for deadline in self.running:
            deadline.ends = min(ends, deadline.ends)
        self._ring_at(ends)

    def _ring_at(self, moment: float) -> None:
        if self._timer is None or moment < self._rings:
            if self._timer is not None:
                self._timer.cancel()
            self._rings = moment
            self._timer = self._loop.call_later(moment - time.monotonic(), self._ring, context=Context())

    def _ring(self) -> None:
        self._timer = None
        now = time.monotonic()
        for deadline in self.running:
            if deadline.ends <= now and not deadline.timeout.expired():
                deadline.timeout.reschedule(self._loop.time())
        if later := [deadline.ends for deadline in self.running if deadline.ends > now]:
            self._ring_at(min(later))


_TOLD = "the invocation's time is up"
_current: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)
_watch = per_loop(_Watch)


def within(seconds: float) -> AbstractAsyncContextManager[None]:
    """Cancel what runs inside after ``seconds``, and tell everything called in there through `remaining`.

    Raises:
        DeadlineExceeded: the time is up.
    """
    return _Deadline(seconds)


def unbounded() -> Context:
    """The current context without its deadline: for work that several invocations wait for.

    Each of them still gives up at its own deadline, which ends its waiting and not the work.

    Example:
        >>> reading = asyncio.create_task(read(), context=unbounded())
    """
    made = copy_context()
    made.run(_current.set, None)
    return made


def shorten_all(seconds: float) -> None:
    """Let everything that runs on this loop end within ``seconds``, where it had longer."""
    _watch().shorten(seconds)


def remaining(default: float) -> float:
    """Seconds a call may take: ``default``, or what is left of the invocation if that is less.

    Never below a millisecond, so that a call made too late fails as a time-out of that call rather than as bad input.

    Example:
        >>> async with within(5):
        ...     remaining(default=60) <= 5
        True
    """
    deadline = _current.get()
    return default if deadline is None else max(0.001, min(default, deadline.ends - time.monotonic()))
