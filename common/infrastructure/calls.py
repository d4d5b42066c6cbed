"""One call of a generated asynchronous client: within a deadline, repeated where that helps, its errors ours.

The libraries' own deadlines do not hold: against a dead endpoint ``timeout=5`` took 29 s, because they retry for 60.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from common.backoff import pauses
from common.errors import Unavailable
from common.functions.deadline import remaining
from common.infrastructure.errors import lacks_token, translate
from common.infrastructure.tracing import span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

TRANSIENT = frozenset({"ServiceUnavailable"})
"""A connection that was lost while the instance was frozen is noticed only by the next call."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


async def call(
    what: str,
    method: Callable[..., Awaitable[Any]],
    *,
    seconds: float,
    transient: frozenset[str] = TRANSIENT,
    **arguments: Any,
) -> Any:
    """Call ``method`` with ``arguments``.

    Args:
        what: is being done, for the error and the span: few different ones, no ids.
        method: of a generated client.
        seconds: for everything, retries included; cut to what is left of the invocation.
        transient: names of Google's exceptions after which it is tried again.
        **arguments: of ``method``.

    Raises:
        Unavailable: it could not be done in time; other errors as `translate` has them.
    """
    from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415 - loaded with the client
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    seconds = remaining(seconds)
    try:
        with span(what):
            async with asyncio.timeout(seconds):
                return await _tried(method, transient, arguments, seconds)
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise translate(error, what) from error
    except TimeoutError as error:
        raise Unavailable(f"{what} took more than {seconds:.1f} s") from error


async def _tried(
    method: Callable[..., Awaitable[Any]], transient: frozenset[str], arguments: dict[str, Any], seconds: float
) -> Any:
    """Call until it works, fails for good, or leaves no time for one more try.

    The library's retry costs more than all the rest around a call that works at once, as nearly every one does.
    """
    from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415

    ends = time.monotonic() + seconds
    for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE):
        left = max(0.001, ends - time.monotonic())
        try:
            return await method(**arguments, retry=None, timeout=left)
        except GoogleAPICallError as error:
            hopeless = type(error).__name__ not in transient or lacks_token(error)
            if hopeless or time.monotonic() + pause >= ends:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")


async def call_blocking(what: str, work: Callable[[float, Any], T], *, seconds: float, item: str = "") -> T:
    """Call a library that has no asynchronous client, in a thread, within a deadline.

    A thread cannot be stopped: the caller has its answer in time, the thread goes on until each of its requests has
    used up the same limit, and what was reported as unavailable may therefore still happen.

    Args:
        what: see `call`.
        work: gets the seconds that it may take and a retry bounded by them, and passes both on to every request.
        seconds: for everything; cut to what is left of the invocation.
        item: what it is done to, for the error only: spans have few names.

    Raises:
        Unavailable: it could not be done in time; other errors as `translate` has them.
    """
    seconds = remaining(seconds)
    told = f"{what} {item}" if item else what
    try:
        with span(what):
            async with asyncio.timeout(seconds):
                return await asyncio.to_thread(_work, told, work, seconds)
    except TimeoutError as error:
        raise Unavailable(f"{told} took more than {seconds:.1f} s") from error


def _work(what: str, work: Callable[[float, Any], T], seconds: float) -> T:
    from google.api_core import exceptions, retry  # noqa: PLC0415 - at the first call, after the cold start
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    bounded = retry.Retry(
        predicate=retry.if_exception_type(
            exceptions.TooManyRequests,
            exceptions.InternalServerError,
            exceptions.BadGateway,
            exceptions.ServiceUnavailable,
            exceptions.GatewayTimeout,
            ConnectionError,
        ),
        initial=0.1,
        maximum=2.0,
        timeout=seconds,
    )
    try:
        return work(seconds, bounded)
    except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
        raise translate(error, what) from error
    except OSError as error:  # also of `requests`
        raise Unavailable(f"{what}: {type(error).__name__}") from error
