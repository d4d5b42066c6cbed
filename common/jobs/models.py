"""What a job returns, and what is kept of its run.

A job returns a mapping of counts, or None: it is completed, and its result answers every later call of the same period.
It returns `Skipped` where there was nothing it could do yet, and `Partial` where some items failed: both may run again.
It raises `Retry` or `Unavailable` for "not now", `Drop` for "never"; anything else is a defect and is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

PLATFORM = "platform"
"""The scope of a job that is nobody's in particular."""


class JobStatus(StrEnum):
    """Of a run."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing could be done yet; the same period may be run again.

    Attributes:
        reason: short and stable: ``blocked_profile``.
        result: what to keep of it.
    """

    reason: str
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Partial:
    """Some items failed; the task is delivered again and gets ``cursor``.

    Attributes:
        result: counts so far, JSON.
        cursor: what is left to do, JSON.
    """

    result: Mapping[str, Any]
    cursor: Any


Returned = Mapping[str, Any] | Skipped | Partial | None
"""What a job may return."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """One run of a job (R42).

    Attributes:
        job_id: ``job/scope/period``.
        status: see `JobStatus`.
        result: counts, and errors by item.
        error: the class of what it ended with, never its text.
        started_at: of the last attempt.
        completed_at: None while it runs.
        retries: attempts after the first.
    """

    job_id: str
    status: JobStatus
    result: Mapping[str, Any] | None = None
    error: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    retries: int = 0

    def as_json(self) -> dict[str, Any]:
        """What the trigger is answered."""
        return {
            "job_id": self.job_id,
            "status": self.status.value,
            "result": dict(self.result) if self.result is not None else None,
            "error": self.error,
            "started_at": self.started_at and self.started_at.isoformat(),
            "completed_at": self.completed_at and self.completed_at.isoformat(),
            "retries": self.retries,
        }
