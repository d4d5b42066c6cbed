"""Answers to people and programs that did something wrong: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from common.functions.outcomes import Rejected

CLIENT_CLOSED_REQUEST = 499
"""Not registered with IANA; nginx's word for a caller that left. Only a log line ever shows it."""


def rejection(error: Rejected, *, allow: str | None = None) -> Response:
    """A 4xx that says in one sentence what is wrong."""
    headers = {"Allow": allow} if allow else {}
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
            "detail": error.detail,
        },
        status_code=error.status,
        headers=headers,
        media_type="application/problem+json",
    )


def later(after: float | None) -> Response:
    """503: the same request may succeed later; ``after`` in seconds, rounded up."""
    headers = {"Retry-After": str(max(1, ceil(after)))} if after is not None else {"Retry-After": "10"}
    return Response(status_code=503, headers=headers)
