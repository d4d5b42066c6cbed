"""How long the current invocation may still take.

The platform answers the caller at the function's timeout but lets the code run on, into the next request; so each
invocation has a deadline of its own, a margin before that timeout, and every call to a dependency is cut to what is
left of it. When the instance is told to stop, all deadlines move to the little time that it has left.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING
from weakref import WeakSet

from common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MARGIN_SECONDS = 1.0
"""Kept back from a function's timeout to answer and to log."""


class DeadlineExceeded(Unavailable):
    """The invocation used up its time; whatever it had not committed is undone."""


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.timeout = asyncio.timeout(seconds)

    def shorten(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        if ends < self.ends and not self.timeout.expired():
            self.ends = ends
            self.timeout.reschedule(asyncio.get_running_loop().time() + seconds)


_current: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)
_running: WeakSet[_Deadline] = WeakSet()


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Cancel what runs inside after ``seconds``, and tell everything called in there through `remaining`.

    Raises:
        DeadlineExceeded: the time is up.
    """
    deadline = _Deadline(seconds)
    token = _current.set(deadline)
    _running.add(deadline)
    try:
        async with deadline.timeout:
            yield
    except TimeoutError as error:
        if deadline.timeout.expired():
            raise DeadlineExceeded("the invocation's time is up") from error
        raise
    finally:
        _running.discard(deadline)
        _current.reset(token)


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
