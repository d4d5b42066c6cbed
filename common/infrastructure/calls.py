"""One call of a generated asynchronous client: within a deadline, repeated where that helps, its errors ours.

The libraries' own deadlines do not hold: against a dead endpoint ``timeout=5`` took 29 s, because they retry for 60.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from common.errors import Unavailable
from common.functions.deadline import remaining
from common.infrastructure.errors import translate
from common.infrastructure.tracing import span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TRANSIENT = frozenset({"ServiceUnavailable"})
"""A connection that was lost while the instance was frozen is noticed only by the next call."""


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
    from google.api_core import exceptions, retry_async  # noqa: PLC0415 - loaded with the client

    seconds = remaining(seconds)
    retry = retry_async.AsyncRetry(
        predicate=lambda error: type(error).__name__ in transient, initial=0.05, maximum=0.5, timeout=seconds
    )
    try:
        with span(what):
            async with asyncio.timeout(seconds):
                return await method(**arguments, retry=retry, timeout=seconds)
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        raise translate(error, what) from error
    except TimeoutError as error:
        raise Unavailable(f"{what} took more than {seconds:.1f} s") from error
