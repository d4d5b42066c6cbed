"""A function that keeps the requests it gets, where a job's ``main.py`` would stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

requests: list[tuple[str, dict[str, str]]] = []


async def main(request: Request) -> Response:
    """Answer 204."""
    requests.append((request.method, dict(request.headers)))
    return Response(status_code=204)
