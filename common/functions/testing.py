"""Calling a function the way its trigger does, in one process and without a socket.

Everything that a deployed function does happens: bounds, caller, deadline, parsing, outcome, summary line.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response

from common import clock, ids

if TYPE_CHECKING:
    from datetime import datetime

Main = Callable[[StarletteRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class HttpEvent:
    """A request as a provider, a probe or a person sends it."""

    body: bytes = b""
    headers: Mapping[str, str] | list[tuple[str, str]] = ()  # type: ignore[assignment] # an empty list of pairs
    method: str = "POST"
    path: str = "/"
    query: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What the function answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def pubsub_event(
    data: bytes,
    attributes: Mapping[str, str] | None = None,
    *,
    message_id: str | None = None,
    subscription: str = "projects/test/subscriptions/test",
    attempt: int | None = 1,
) -> HttpEvent:
    """A wrapped push, from the identity that ``INVOKER_EMAIL`` names."""
    published = clock.now().isoformat().replace("+00:00", "Z")
    identity = message_id or ids.new_id()
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": dict(attributes or {}),
        "messageId": identity,
        "message_id": identity,
        "publishTime": published,
        "publish_time": published,
    }
    envelope: dict[str, Any] = {"message": message, "subscription": subscription}
    if attempt is not None:
        envelope["deliveryAttempt"] = attempt
    return HttpEvent(
        body=json.dumps(envelope).encode(),
        headers={"content-type": "application/json", "authorization": bearer(os.environ.get("INVOKER_EMAIL", ""))},
    )


def task_event(
    job: str, *, scope: str, period: str, arguments: Mapping[str, Any], retry_count: int = 0, name: str = "task"
) -> HttpEvent:
    """A Cloud Task of a job, from the identity that ``INVOKER_EMAIL`` names; ``retry_count`` is 0 the first time."""
    return HttpEvent(
        body=json.dumps({"scope": scope, "period": period, "arguments": dict(arguments)}).encode(),
        headers={
            "content-type": "application/json",
            "authorization": bearer(os.environ.get("INVOKER_EMAIL", "")),
            "x-cloudtasks-queuename": f"job-{job.replace('_', '-')}",
            "x-cloudtasks-taskname": name,
            "x-cloudtasks-taskretrycount": str(retry_count),
        },
    )


def tick_event(due: datetime | None = None) -> HttpEvent:
    """A tick of Cloud Scheduler, due now or at ``due``."""
    return HttpEvent(
        headers={
            "authorization": bearer(os.environ.get("INVOKER_EMAIL", "")),
            "x-cloudscheduler": "true",
            "x-cloudscheduler-scheduletime": (due or clock.now()).isoformat(),
        },
    )


def bearer(email: str) -> str:
    """A token as Google's front end forwards it: the claims, and the signature removed."""

    def part(value: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"email": email, "email_verified": True}
    return f"Bearer {part({'alg': 'RS256'})}.{part(claims)}.SIGNATURE_REMOVED_BY_GOOGLE"


async def invoke(function: Main, event: HttpEvent) -> Result:
    """Send ``event`` through ``main`` and return its answer.

    Example:
        >>> result = await invoke(main, HttpEvent(body=b"{}"))
        >>> result.status
        401
    """
    pairs = list(event.headers.items()) if isinstance(event.headers, Mapping) else list(event.headers)
    scope = {
        "type": "http",
        "method": event.method,
        "path": event.path,
        "root_path": "",
        "query_string": event.query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
    }
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": event.body, "more_body": False}

    response = await function(StarletteRequest(scope, receive))
    return Result(response.status_code, dict(response.headers), bytes(response.body))
