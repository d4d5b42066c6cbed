"""Answers to people and programs that did something wrong: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from common.functions.outcomes import Rejected, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import Unavailable
    from common.functions.context import RequestContext

CLIENT_CLOSED_REQUEST = 499
"""Not registered with IANA; nginx's word for a caller that left. Only a log line ever shows it."""


def answer(
    error: Rejected | Retry | Unavailable, running: RequestContext | None, *, methods: Sequence[str] = ()
) -> Response:
    """What is answered for an error that a function ended with; the summary line is told as well.

    Args:
        error: see `common.functions.outcomes`.
        running: whose outcome it is.
        methods: that a 405 names as allowed.
    """
    if isinstance(error, Rejected):
        outcome, reason, response = "rejected", error.detail, _rejection(error, methods)
    elif isinstance(error, Retry):
        outcome, reason, response = "retry", error.reason, _later(error.after)
    else:
        outcome, reason, response = "retry", str(error), _later(error.retry_after)
    if running is not None:
        running.outcome, running.reason = outcome, reason
    return response


def _rejection(error: Rejected, methods: Sequence[str]) -> Response:
    """A 4xx that says in one sentence what is wrong."""
    allow = {"Allow": ", ".join(methods)} if error.status == HTTPStatus.METHOD_NOT_ALLOWED and methods else {}
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
            "detail": error.detail,
        },
        status_code=error.status,
        headers={**allow, **error.headers},
        media_type="application/problem+json",
    )


def _later(after: float | None) -> Response:
    """503: the same request may succeed later; ``after`` in seconds, rounded up."""
    headers = {"Retry-After": str(max(1, ceil(after)))} if after is not None else {"Retry-After": "10"}
    return Response(status_code=503, headers=headers)
