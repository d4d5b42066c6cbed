"""``@webhook``: a public URL that a provider posts to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, Unpack

from starlette.responses import JSONResponse, Response

from common.functions.outcomes import Rejected, Unverified
from common.functions.request import Request
from common.functions.spec import FunctionSpec, Resources, attach

Webhook = TypeVar("Webhook", bound=Callable[[Request], Awaitable[dict[str, Any] | None]])


def webhook(*, timeout: int = 30, **_: Unpack[Resources]) -> Callable[[Webhook], Webhook]:
    """Serve an async function of one `Request` to everyone, by POST.

    The function verifies the raw body, publishes, and returns: None is an empty 200, a dictionary is sent as JSON. What
    it cannot verify it refuses with `Unverified`; a source of too many of these is told to come later. That is counted
    in Redis, so each webhook needs its secrets; what is verified neither asks it nor is ever refused.

    Args:
        timeout: seconds.
        **_: see `Resources`.

    Example:
        >>> @webhook(
        ...     publishes=["webhook-phonepe"],
        ...     secrets=["phonepe-webhook-secrets", "upstash-redis-token", "upstash-redis-url"],
        ... )
        ... async def phonepe(request: Request) -> None: ...
    """
    return attach(FunctionSpec(kind="webhook", timeout=timeout, adapter=_receive, caller="anyone"))


async def _receive(function: Callable[..., Any], request: Request) -> Response:
    content_type = (request.header("content-type") or "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Rejected(415, "the body must be application/json")
    if (request.header("content-encoding") or "identity").lower() != "identity":
        raise Rejected(415, "a compressed body is not accepted")
    try:
        answer = await function(request)
    except Unverified as refused:
        from common.functions.unverified import judge  # noqa: PLC0415 - it imports Redis, which only strangers need

        raise await judge(request, refused) from None
    return Response(status_code=200) if answer is None else JSONResponse(answer)
