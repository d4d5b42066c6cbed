"""Slack's incoming webhooks: takes messages as Slack does, and shows them on a page.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

import hmac
import html
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from common import clock

if TYPE_CHECKING:
    from starlette.requests import Request

KEPT = 1_000
MAX_TEXT = 40_000
"""Characters; Slack cuts longer messages, the stand-in refuses them, so that nobody relies on the cut."""
MAX_BLOCKS = 50


class Slack:
    """One workspace with one webhook."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._messages: deque[dict[str, Any]] = deque(maxlen=KEPT)

    async def post(self, request: Request) -> Response:
        """``POST /services/…``."""
        if not hmac.compare_digest(request.path_params["path"].encode(), self._path.encode()):
            return PlainTextResponse("no_service", 404)
        try:
            message = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        if not isinstance(message, dict):
            return PlainTextResponse("invalid_payload", 400)
        text, blocks = message.get("text", ""), message.get("blocks", [])
        if not isinstance(text, str) or not isinstance(blocks, list) or not (text or blocks):
            return PlainTextResponse("no_text", 400)
        if len(text) > MAX_TEXT or len(blocks) > MAX_BLOCKS:
            return PlainTextResponse("msg_too_long" if len(text) > MAX_TEXT else "invalid_blocks", 400)
        self._messages.append({**message, "at": clock.now().isoformat()})
        return PlainTextResponse("ok")

    async def listing(self, _request: Request) -> Response:
        """``GET /api/messages``."""
        return JSONResponse({"messages": list(self._messages)})

    async def index(self, _request: Request) -> Response:
        """``GET /``."""
        rows = "".join(
            f"<tr><td>{html.escape(message['at'])}<td>{html.escape(message.get('text', ''))}"
            for message in reversed(self._messages)
        )
        empty = "" if rows else "<p>No message has come yet."
        return HTMLResponse(
            f"<!doctype html><meta charset=utf-8><title>Slack</title><h1>Slack</h1>{empty}<table>{rows}"
        )


def application(path: str) -> Starlette:
    """The stand-in; ``path`` is the secret part of the webhook's URL."""
    slack = Slack(path)
    return Starlette(
        routes=[
            Route("/", slack.index),
            Route("/api/messages", slack.listing),
            Route("/{path:path}", slack.post, methods=["POST"]),
        ]
    )
