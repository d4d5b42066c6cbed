"""A task or a tick, read from the request that Cloud Tasks or Cloud Scheduler sends."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from common import clock
from common.errors import InvalidInput
from common.functions.delivery import Delivery
from common.functions.jsonbody import parse_object
from common.jobs.models import PLATFORM
from common.jobs.periods import period_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.functions.request import Request

TASK_TYPE = "raptorflow.task.v1"
MAX_SCOPE, MAX_PERIOD = 255, 64


@dataclass(frozen=True, slots=True)
class Call:
    """What a job is called for.

    Attributes:
        scope: whose: a workspace, a payment, ``platform``.
        period: which: ``2026-11``, ``2026-11-23``.
        arguments: of the function, by name.
    """

    scope: str
    period: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt of a Cloud Task.

    Attributes:
        queue: its short name.
        name: unique in the queue.
        attempt: from 1.
        body: as it was enqueued.
    """

    queue: str
    name: str
    attempt: int
    body: bytes

    @classmethod
    def from_request(cls, request: Request) -> Task | None:
        """The task; None where the request is none (deployment.md 3.3: the headers are set by the service alone)."""
        queue = request.header("x-cloudtasks-queuename")
        name = request.header("x-cloudtasks-taskname")
        if not queue or not name:
            return None
        retried = request.header("x-cloudtasks-taskretrycount") or "0"
        return cls(queue, name, int(retried) + 1 if retried.isdecimal() else 1, request.body)

    def call(self) -> Call:
        """What it asks for.

        Raises:
            InvalidInput: the body is not what `enqueue_job` writes.
        """
        envelope = parse_object(self.body)
        scope, period, arguments = (envelope.get(key) for key in ("scope", "period", "arguments"))
        if not isinstance(scope, str) or not 1 <= len(scope) <= MAX_SCOPE:
            raise InvalidInput("a task needs a scope")
        if not isinstance(period, str) or not 1 <= len(period) <= MAX_PERIOD:
            raise InvalidInput("a task needs a period")
        if not isinstance(arguments, dict):
            raise InvalidInput("a task needs arguments, which may be empty")
        return Call(scope, period, arguments)

    def letter(self) -> Delivery:
        """The task as a message, for the dead-letter topic: its name makes every copy the same letter."""
        now = clock.now()
        source = f"//cloudtasks.googleapis.com/{self.queue}"
        attributes = {
            "ce-specversion": "1.0",
            "ce-id": f"{self.queue}/{self.name}",
            "ce-source": source,
            "ce-type": TASK_TYPE,
            "ce-time": now.isoformat(),
            "content-type": "application/json",
        }
        return Delivery(
            id=attributes["ce-id"],
            source=source,
            type=TASK_TYPE,
            subject="",
            time=now,
            data=self.body,
            attributes=attributes,
            message_id=self.name,
            publish_time=now,
            subscription="",
            attempt=self.attempt,
        )


def tick_of(request: Request, schedule: str) -> Call | None:
    """The call of a Cloud Scheduler tick; None where the request is none.

    Raises:
        InvalidInput: its time cannot be read.
    """
    if request.header("x-cloudscheduler") != "true":
        return None
    due = request.header("x-cloudscheduler-scheduletime")
    try:
        instant = datetime.fromisoformat(due) if due else clock.now()
    except ValueError:
        raise InvalidInput("the schedule's time is not an RFC 3339 instant") from None
    return Call(PLATFORM, period_of(schedule, instant if instant.tzinfo else instant.replace(tzinfo=UTC)))


def bind(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check ``arguments`` against the function's parameters.

    Raises:
        InvalidInput: one is unknown, missing, or not of the annotated type.
    """
    signature, hints = inspect.signature(function), get_type_hints(function)
    unknown = sorted(set(arguments) - set(signature.parameters))
    if unknown:
        raise InvalidInput(f"the job takes no argument {unknown[0][:64]!r}")
    for name, parameter in signature.parameters.items():
        if name not in arguments:
            if parameter.default is parameter.empty:
                raise InvalidInput(f"the job needs the argument {name}")
        elif not _fits(arguments[name], hints.get(name, Any)):
            raise InvalidInput(f"the argument {name} has the wrong type")
    return dict(arguments)


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if get_origin(hint) in {Union, UnionType}:
        return any(_fits(value, kind) for kind in get_args(hint))
    return type(value) is (get_origin(hint) or hint)  # True is no number; what a list holds is the job's to check
