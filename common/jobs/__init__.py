"""What runs by the clock or by the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.jobs.scheduler import JobScheduler

__all__ = ["JobScheduler"]


def __getattr__(name: str) -> Any:
    if name != "JobScheduler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from common.jobs.scheduler import JobScheduler

    return JobScheduler
