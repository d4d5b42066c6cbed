"""What runs by the clock or by the task."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.jobs.decorators import job
    from common.jobs.models import JobResult, JobStatus, Partial, Skipped
    from common.jobs.runs import current_run
    from common.jobs.scheduler import JobScheduler
    from common.jobs.tasks import enqueue_job

_MODULES = {
    "JobResult": "models",
    "JobScheduler": "scheduler",
    "JobStatus": "models",
    "Partial": "models",
    "Skipped": "models",
    "current_run": "runs",
    "enqueue_job": "tasks",
    "job": "decorators",
}

__all__ = ["JobResult", "JobScheduler", "JobStatus", "Partial", "Skipped", "current_run", "enqueue_job", "job"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
