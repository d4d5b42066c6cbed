"""The API and the pages, as an ASGI application."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from common import clock, ids
from tools.local.mail import pages
from tools.local.mail.checks import Refused, check_key, check_mail

if TYPE_CHECKING:
    from starlette.requests import Request

REMEMBERED_SECONDS = 24 * 3600.0
HANG_SECONDS = 60.0
HANG, LOST = "hang", "lost"


@dataclass
class Mailbox:
    """What the stand-in remembers.

    Attributes:
        key: the API key; followed by a dot and a name it is the key of an account of its own, as each test has.
        mails: taken, oldest first.
        faults: the next answers: statuses, ``hang`` or ``lost``.
    """

    key: str
    mails: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[int | str] = field(default_factory=deque)
    _keys: dict[str, tuple[float, str, str]] = field(default_factory=dict)

    async def send(self, request: Request) -> Response:
        """``POST /emails``."""
        fault = self.faults.popleft() if self.faults else None
        if fault == HANG:
            await asyncio.sleep(HANG_SECONDS)
        try:
            if isinstance(fault, int):
                _fail(fault)
            identity = self._take(request, await request.body())
        except Refused as refused:
            headers = {"Retry-After": "1"} if refused.status == 429 else {}
            return JSONResponse(refused.body(), refused.status, headers)
        if fault == LOST:
            await asyncio.sleep(HANG_SECONDS)
        return JSONResponse({"id": identity})

    def _take(self, request: Request, body: bytes) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(token.partition(".")[0].encode(), self.key.encode()):
            raise Refused(401, "missing_api_key" if not token else "invalid_api_key", "API key is invalid")
        key = request.headers.get("idempotency-key")
        check_key(key)
        account = f"{token} {key}"
        try:
            mail = json.loads(body)
        except ValueError:
            raise Refused(400, "validation_error", "The body is not JSON.") from None
        if not isinstance(mail, dict):
            raise Refused(422, "validation_error", "The body must be an object.")
        check_mail(mail)
        remembered = self._keys.get(account) if key else None
        canonical = json.dumps(mail, sort_keys=True)
        if remembered and time.monotonic() - remembered[0] < REMEMBERED_SECONDS:
            if remembered[1] != canonical:
                message = "The idempotency key was used with another request."
                raise Refused(409, "invalid_idempotent_request", message)
            return remembered[2]
        identity = ids.new_id()
        if key:
            self._keys[account] = (time.monotonic(), canonical, identity)
        to = mail["to"] if isinstance(mail["to"], list) else [mail["to"]]
        self.mails.append({**mail, "to": to, "id": identity, "created_at": clock.now().isoformat(), "key": key or ""})
        return identity

    async def arm(self, request: Request) -> Response:
        """``POST /_local/faults``."""
        self.faults.extend((await request.json())["answers"])
        return JSONResponse({"faults": list(self.faults)})

    async def listing(self, request: Request) -> Response:
        """``GET /api/mails``: without the attachments' contents."""
        to = request.query_params.get("to")
        shown = [_summary(mail) for mail in self.mails if to is None or to in mail["to"]]
        return JSONResponse({"mails": shown})

    async def index(self, _request: Request) -> Response:
        """``GET /``."""
        return pages.mailbox(reversed(self.mails))

    async def show(self, request: Request) -> Response:
        """``GET /mails/{id}``."""
        return pages.one(self._find(request))

    async def attachment(self, request: Request) -> Response:
        """``GET /mails/{id}/{number}``."""
        attachments = self._find(request).get("attachments") or []
        number = int(request.path_params["number"])
        if number >= len(attachments):
            raise HTTPException(404)
        item = attachments[number]
        return Response(
            base64.b64decode(item["content"]),
            media_type=item.get("content_type") or "application/octet-stream",
            headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"},
        )

    def _find(self, request: Request) -> dict[str, Any]:
        for mail in self.mails:
            if mail["id"] == request.path_params["id"]:
                return mail
        raise HTTPException(404)


def application(key: str) -> Starlette:
    """The stand-in; see `Mailbox` for the API keys that it accepts."""
    mailbox = Mailbox(key)
    return Starlette(
        routes=[
            Route("/emails", mailbox.send, methods=["POST"]),
            Route("/", mailbox.index),
            Route("/mails/{id}", mailbox.show),
            Route("/mails/{id}/{number:int}", mailbox.attachment),
            Route("/api/mails", mailbox.listing),
            Route("/_local/faults", mailbox.arm, methods=["POST"]),
        ]
    )


def _fail(status: int) -> NoReturn:
    raise Refused(status, "rate_limit_exceeded" if status == 429 else "application_error", "a fault was armed")


def _summary(mail: dict[str, Any]) -> dict[str, Any]:
    attachments = [
        {
            "filename": item["filename"],
            "bytes": len(base64.b64decode(item["content"])),
            "path": f"/mails/{mail['id']}/{number}",
        }
        for number, item in enumerate(mail.get("attachments") or [])
    ]
    return {**mail, "attachments": attachments}
