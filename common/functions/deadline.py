"""How long the current invocation may still take.

The platform answers the caller at the function's timeout but lets the code run on, into the next request; so each
invocation has a deadline of its own, a margin before that timeout, and every call to a dependency is cut to what is
left of it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MARGIN_SECONDS = 1.0
"""Kept back from a function's timeout to answer and to log."""

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Set the deadline of everything called or started inside; an earlier one that is set already stays."""
    ends = time.monotonic() + seconds
    current = _deadline.get()
    token = _deadline.set(ends if current is None else min(ends, current))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(default: float) -> float:
    """Seconds a call may take: ``default``, or what is left of the invocation if that is less.

    Never below a millisecond, so that a call made too late fails as a time-out of that call rather than as bad input.

    Example:
        >>> with within(5):
        ...     remaining(default=60) <= 5
        True
    """
    ends = _deadline.get()
    return default if ends is None else max(0.001, min(default, ends - time.monotonic()))
