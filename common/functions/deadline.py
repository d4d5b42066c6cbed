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
        self.timeout = asyncio.timeout(seconds)

    def shorten(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        if ends < self.ends and not self.timeout.expired():
            self.ends = ends
            self.timeout.reschedule(asyncio.get_running_loop().time() + seconds)

    async def __aenter__(self) -> None:
        self._token = _current.set(self)
        _running.add(self)
        await self.timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.timeout.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            raise DeadlineExceeded(_TOLD) from expired
        finally:
            _running.discard(self)
            _current.reset(self._token)
        if isinstance(error, TimeoutError) and self.timeout.expired():  # a call inside noticed it first
            raise DeadlineExceeded(_TOLD) from error


_TOLD = "the invocation's time is up"
_current: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)
_running: set[_Deadline] = set()


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
    for deadline in list(_running):
        deadline.shorten(seconds)


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
