"""Reading what the stand-in is sent."""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from tools.local.phonepe.checks import bad_request

if TYPE_CHECKING:
    from starlette.requests import Request


async def json_object(request: Request) -> dict[str, Any]:
    """The body.

    Raises:
        Refused: 400, it is not a JSON object.
    """
    try:
        body = await request.json()
    except (JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body
