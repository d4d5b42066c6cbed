r"""What is kept of a job: a header, its data, and once it is over what became of it; one line each.

JSON has no line breaks of its own, so a script can put an end to a job that died without reading its JSON, which
Lua would not write back as it was. A completed job's data is dropped.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common import clock
from common.functions import context
from common.redis.moments import from_ms, to_ms
from common.redis.queue_models import Job, JobStatus
from common.redis.values import to_json

if TYPE_CHECKING:
    from datetime import datetime

    from common.redis.queue_models import NewJob

MAX_DATA_BYTES = 262_144
"""Of a job's data, and of its result: what is larger belongs into Cloud Storage, with a pointer in the job."""

MAX_ERROR_CHARACTERS = 500


def now_ms() -> int:
    """The time as a queue keeps it."""
    return to_ms(clock.now())


def new_record(job: NewJob, order: str, now: int) -> str:
    """What is kept of a job that is enqueued.

    Raises:
        InvalidValue: its data is not JSON, or too large.
    """
    data = to_json(job.data, "a job's data", limit=MAX_DATA_BYTES)
    invocation = context.current()
    header = {"order": order, "priority": job.priority, "created_at": now}
    if invocation is not None:
        header["traceparent"] = invocation.traceparent
    return f"{_compact(header)}\n{data}"


def completed_record(job: Job, result: Any, now: int) -> str:
    """What is kept of a job that has completed.

    Raises:
        InvalidValue: the result is not JSON, or too large.
    """
    stored = to_json(result, "a job's result", limit=MAX_DATA_BYTES)
    header = {"priority": job.priority, "created_at": _ms(job.created_at), "traceparent": job.traceparent}
    outcome = {"status": JobStatus.COMPLETED.value, **_tried(job, now)}
    return f'{_compact(header)}\n\n{_compact(outcome)[:-1]},"result":{stored}}}'


def failed_outcome(job: Job, error: str, now: int) -> str:
    """What became of a job that nobody will try again."""
    return _compact({"status": JobStatus.FAILED.value, "error": shortened(error), **_tried(job, now)})


def replayed_record(record: str, order: str) -> str:
    """What is kept of a dead letter that is tried again, at a new place."""
    header, data = record.split("\n", 2)[:2]
    return f"{_compact({**json.loads(header), 'order': order})}\n{data}"


def read_record(queue_name: str, job_id: str, record: str) -> Job:
    """A job as it is kept; whether one that is not over runs already stands elsewhere."""
    header, data, outcome = (*record.split("\n", 2), "")[:3]
    head = json.loads(header)
    job = Job(
        job_id,
        queue_name,
        json.loads(data) if data else None,
        head["priority"],
        from_ms(head["created_at"]),
        traceparent=head.get("traceparent"),
    )
    if not outcome:
        return job
    ended = json.loads(outcome)
    return replace(
        job,
        status=JobStatus(ended["status"]),
        started_at=_from_ms(ended.get("started_at")),
        completed_at=from_ms(ended["completed_at"]),
        attempt=ended["attempt"],
        result=ended.get("result"),
        error=ended.get("error"),
    )


def order_of(record: str) -> str:
    """The place of a job that is not over."""
    order: str = json.loads(record.partition("\n")[0])["order"]
    return order


def shortened(error: str) -> str:
    """An error as it is kept."""
    return error.encode(errors="replace").decode()[:MAX_ERROR_CHARACTERS]


def _tried(job: Job, now: int) -> dict[str, Any]:
    return {"started_at": _ms(job.started_at), "completed_at": now, "attempt": job.attempt}


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _from_ms(at: int | None) -> datetime | None:
    return None if at is None else from_ms(at)


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
