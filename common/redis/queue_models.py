"""What a queue holds and what it tells (R14)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from common import clock

if TYPE_CHECKING:
    from datetime import datetime


class JobStatus(StrEnum):
    """Of a job."""

    PENDING = "pending"
    """It waits: for a worker, or for its time."""
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    """It is a dead letter: nobody tries it again until it is replayed."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was when it was read; it does not change by itself.

    Attributes:
        job_id: its name in the queue, and the key by which its effect is recognised when it comes twice.
        queue_name: where it is.
        data: what was enqueued; None once it has completed.
        priority: the higher, the sooner.
        created_at: when it was enqueued.
        started_at: when the last worker took it.
        completed_at: when it completed or became a dead letter.
        status: see `JobStatus`.
        result: what its handler returned.
        error: why it failed last.
        attempt: which try this is, or was; 0 before the first.
        progress: what its handler told last.
        traceparent: of the invocation that enqueued it (W3C Trace Context).
        lease: names this worker's hold on it; empty for a job that was only looked at.
    """

    job_id: str
    queue_name: str
    data: Any
    priority: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    status: JobStatus = JobStatus.PENDING
    result: Any = None
    error: str | None = None
    attempt: int = 0
    progress: Any = None
    traceparent: str | None = None
    lease: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue together with others.

    Attributes:
        data: JSON, 256 KB at most.
        priority: from -2047 to 2047; the higher, the sooner.
        job_id: one of your own makes it safe to enqueue it again; None for a new one.
        delay: seconds before it may run.
    """

    data: Any
    priority: int = 0
    job_id: str | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look into a queue found.

    Attributes:
        jobs: taken, in the order in which they should run.
        next_due: when a job becomes ready by itself, or its worker may be found dead; None where nothing does, or
            where nobody looked since there was enough to do.
        paused: somebody has paused the queue.
    """

    jobs: list[Job]
    next_due: datetime | None
    paused: bool


@dataclass(frozen=True, slots=True)
class QueueStats:
    """A queue's figures.

    Attributes:
        ready: wait for a worker.
        delayed: wait for their time, after a failure too.
        running: are with a worker.
        dead: are dead letters.
        paused: whether nothing is handed out.
    """

    ready: int
    delayed: int
    running: int
    dead: int
    paused: bool


@dataclass(slots=True)
class Drained:
    """What a worker did, and what is left.

    Attributes:
        completed: jobs.
        retried: failed, and will be tried again.
        buried: became dead letters.
        lost: went to another worker.
        handed_back: were taken and not begun, or cut short.
        has_more: it stopped before the queue was empty.
        next_due: when something is due by itself; None if nothing is.
    """

    completed: int = 0
    retried: int = 0
    buried: int = 0
    lost: int = 0
    handed_back: int = 0
    has_more: bool = False
    next_due: datetime | None = None

    @property
    def due_in(self) -> float | None:
        """Seconds after which somebody should come again; None if nobody need."""
        if self.has_more:
            return 0.0
        return None if self.next_due is None else max(0.0, (self.next_due - clock.now()).total_seconds())

    def count(self, job: Job) -> None:
        """Count a job by what became of it."""
        if job.status is JobStatus.COMPLETED:
            self.completed += 1
        elif job.status is JobStatus.PENDING:
            self.retried += 1
        elif job.status is JobStatus.FAILED:
            self.buried += 1
        else:
            self.lost += 1
