"""The ``sample.json`` of a new function: the environment, the request that its trigger sends, and the answer."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common import clock
from common.events import types
from common.events.message import message_attributes
from common.functions.testing import bearer, pubsub_event

if TYPE_CHECKING:
    from collections.abc import Mapping

INVOKER = "invoker@raptorflow-local.iam.gserviceaccount.com"
MOMENT = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
_IDENTITY = "5f0c8f3e-6f0a-4d55-9f4e-8f6f1c1d2a3b"
_FIELDS: dict[str, Any] = {"str": _IDENTITY, "int": 353_882, "bool": True}
_JSON = {"content-type": "application/json"}


def webhook_sample(dashed: str, variable: str) -> dict[str, Any]:
    """A notification, signed with the secret that its environment names."""
    body = json.dumps({"id": "notification-1", "kind": "sample"}, separators=(",", ":"))
    signature = hmac.new(b"sample-secret", body.encode(), hashlib.sha256).hexdigest()
    return {
        "environment": {variable: "sample-secret"},
        "request": _request(body, {**_JSON, f"x-{dashed}-signature": signature}),
        "response": {"status": 200},
    }


def event_sample(topic: str, event: str | None) -> dict[str, Any]:
    """A push of an event of the class ``event`` of `common.events.types`; of any JSON object where there is none."""
    said: dict[str, Any]
    with clock.frozen(MOMENT):
        if event is None:
            data, said = b"{}", {"type": f"raptorflow.{topic}.sample.v1", "source": types.SOURCE, "subject": "sample"}
        else:
            kind: type[types.Event] = getattr(types, event)
            names = {item.name: item.type for item in dataclasses.fields(kind) if item.name not in {"id", "time"}}
            made = kind(id=_IDENTITY, **{name: _FIELDS[str(annotation)] for name, annotation in names.items()})
            data, said = made.data(), {"type": made.TYPE, "source": types.SOURCE, "subject": made.subject}
        attributes = message_attributes(id=_IDENTITY, time=clock.now(), **said)
        push = pubsub_event(data, attributes, message_id="1")
    return _called_by_invoker(push.body.decode(), {}, status=204)


def job_sample(name: str) -> dict[str, Any]:
    """A task of the job's queue."""
    body = json.dumps({"scope": _IDENTITY, "period": "2026-11", "arguments": {"workspace_id": _IDENTITY}})
    headers = {
        "x-cloudtasks-queuename": f"job-{name.replace('_', '-')}",
        "x-cloudtasks-taskname": "sample",
        "x-cloudtasks-taskretrycount": "0",
        "x-cloudtasks-taskexecutioncount": "0",
    }
    return _called_by_invoker(body, headers, status=200)


def endpoint_sample() -> dict[str, Any]:
    """An operator who looks."""
    headers = {"authorization": bearer("operator@raptorflow-local.iam.gserviceaccount.com")}
    return {"environment": {}, "request": _request("", headers, method="GET"), "response": {"status": 200}}


def _called_by_invoker(body: str, headers: Mapping[str, str], *, status: int) -> dict[str, Any]:
    return {
        "environment": {"INVOKER_EMAIL": INVOKER},
        "request": _request(body, {**_JSON, "authorization": bearer(INVOKER), **headers}),
        "response": {"status": status},
    }


def _request(body: str, headers: Mapping[str, str], *, method: str = "POST") -> dict[str, Any]:
    return {"method": method, "path": "/", "headers": dict(headers), "body": body}
