"""Enqueueing a job: one named Cloud Task for each job, scope, period and attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidInput
from common.jobs.deliveries import MAX_PERIOD, MAX_SCOPE

if TYPE_CHECKING:
    from collections.abc import Mapping


async def enqueue_job(
    job: str, *, scope: str, period: str, arguments: Mapping[str, Any], delay_seconds: float = 0, attempt: int = 0
) -> None:
    """Have a job run soon, once: the same job, scope, period and attempt again changes nothing.

    A name that Cloud Tasks has forgotten is a second task; the ledger answers it with the first one's result.

    Args:
        job: its name, ``generate_invoice``.
        scope: whose run it is; for an invoice its payment.
        period: which run it is.
        arguments: of the function, JSON.
        delay_seconds: before it runs.
        attempt: counts what an operator or a sweep forces to run again.

    Raises:
        InvalidInput: scope or period is empty or too long.
        NotFound: the job has no queue.
        Unavailable: it could not be enqueued in time.
    """
    if not 1 <= len(scope) <= MAX_SCOPE or not 1 <= len(period) <= MAX_PERIOD:
        raise InvalidInput("a scope has 1 to 255 characters, a period 1 to 64")
    from common.infrastructure.cloud_tasks import cloud_tasks_client  # noqa: PLC0415 - loads the client library
    from common.infrastructure.errors import AlreadyExists  # noqa: PLC0415

    queue = queue_of(job)
    try:
        await cloud_tasks_client().create_task(
            queue,
            queue,
            {"scope": scope, "period": period, "arguments": dict(arguments)},
            delay_seconds,
            key=f"{job}/{scope}/{period}/{attempt}",
        )
    except AlreadyExists:
        return


def queue_of(job: str) -> str:
    """The queue of a job, which is called like its function.

    Example:
        >>> queue_of("generate_invoice")
        'job-generate-invoice'
    """
    return f"job-{job.replace('_', '-')}"
