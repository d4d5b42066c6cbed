"""``@job`` (R41): a function that Cloud Tasks or Cloud Scheduler calls, once for each scope and period."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from starlette.responses import JSONResponse, Response

from common import clock
from common.errors import InvalidInput, RaptorFlowError
from common.functions import context, dead_letter, deadline
from common.functions.outcomes import Drop, Rejected, Retry
from common.functions.spec import FunctionSpec, Resources, attach
from common.jobs import runs
from common.jobs.deliveries import Call, Task, bind, tick_of
from common.jobs.models import JobResult, JobStatus, Partial, Returned, Skipped

if TYPE_CHECKING:
    from common.functions.request import Request

log = logging.getLogger(__name__)

Job = TypeVar("Job", bound=Callable[..., Awaitable[Any]])
CLOSING_SECONDS = 4.0
"""Kept back from a job's time to store what came of it, give up its lease and bury its last attempt."""
_HURRY_SECONDS = 0.8
"""For the same when the instance is told to stop."""


@dataclass(frozen=True, slots=True)
class _Declared:
    name: str
    seconds: float
    retries: int
    schedule: str | None


def job(
    name: str,
    *,
    queue: str = "default",
    retries: int = 3,
    timeout: int = 300,
    schedule: str | None = None,
    per: str | None = None,
    **_: Unpack[Resources],
) -> Callable[[Job], Job]:
    """Run an async function under the ledger of `common.jobs.runs`; what it may return or raise stands in `models`.

    The function itself is unchanged: called directly it does the same work, without a ledger around it.

    Args:
        name: of the job; its function is deployed as ``job-<name>``, and its task queue is called like that.
        queue: the rate class of that queue, see `common.functions.resources`.
        retries: attempts after the first; after the last a task becomes a dead letter.
        timeout: seconds.
        schedule: five cron fields in India's time, weekdays by name; None for a job that only tasks call.
        per: ``"workspace"`` if the schedule fans out, one task for each.
        **_: see `Resources`.

    Example:
        >>> @job("generate_invoice", retries=20, timeout=120)
        ... async def generate_invoice_job(workspace_id: str, period: str) -> Mapping[str, Any]: ...
    """
    del queue, per  # the manifest's business: they configure the queue and the dispatch
    declared = _Declared(name, max(1.0, timeout - deadline.MARGIN_SECONDS - CLOSING_SECONDS), retries, schedule)

    async def handle(function: Callable[..., Any], request: Request) -> Response:
        return await _handle(function, request, declared)

    return attach(FunctionSpec(kind="job", timeout=timeout, adapter=handle, caller="trigger"))


async def _handle(function: Callable[..., Any], request: Request, declared: _Declared) -> Response:
    task = Task.from_request(request)
    running = context.current()
    if task is None:
        call = _tick(request, declared)
    else:
        if running is not None:
            running.event_id = task.name
        try:
            call = task.call()
            bind(function, call.arguments)
        except InvalidInput as error:
            return await _bury(task, Drop("malformed", str(error)))
    try:
        return await _run(function, call, declared, task)
    except Drop as drop:
        if task is None:
            raise Rejected(422, drop.reason) from drop  # Cloud Scheduler keeps no copy, and the run's row says failed
        return await _bury(task, drop)
    except (asyncio.CancelledError, Exception) as error:
        if task is not None and task.attempt > declared.retries:
            async with deadline.within(deadline.remaining(CLOSING_SECONDS) + _HURRY_SECONDS):
                await _bury(task, Drop(_reason(error), f"attempt {task.attempt} was the last"))
        raise


def _tick(request: Request, declared: _Declared) -> Call:
    try:
        call = tick_of(request, declared.schedule) if declared.schedule else None
    except InvalidInput as error:
        raise Rejected(400, str(error)) from None
    if call is None:
        raise Rejected(400, "this is neither a task nor a tick of this job's schedule")
    return call


async def _run(function: Callable[..., Any], call: Call, declared: _Declared, task: Task | None) -> Response:
    claimed = await runs.claim(declared.name, call.scope, call.period)
    if isinstance(claimed, JobResult):
        return await _taken(claimed, declared, call, task)
    started = clock.now()
    try:
        async with runs.leased(claimed), deadline.within(declared.seconds):
            status, result, cursor = _read(await function(**call.arguments))
    except (asyncio.CancelledError, Exception) as error:
        await _hand_back(claimed, error)
        raise
    await claimed.finish(status, result, cursor=cursor)
    if status is JobStatus.PARTIAL:
        raise Retry("some items failed")
    answer = JobResult(
        job_id=claimed.job_id,
        status=status,
        result=result,
        started_at=started,
        completed_at=clock.now(),
        retries=claimed.attempt - 1,
    )
    return JSONResponse(answer.as_json())


async def _taken(result: JobResult, declared: _Declared, call: Call, task: Task | None) -> Response:
    """Somebody else has run it, or is running it."""
    if result.status is JobStatus.COMPLETED:
        return JSONResponse({**result.as_json(), "already_done": True})
    if task is None:
        return JSONResponse({**result.as_json(), "status": JobStatus.SKIPPED.value})
    left = await runs.lease_left(declared.name, call.scope, call.period)
    raise Retry("another attempt is running", after=left)


async def _hand_back(run: runs.Run, error: BaseException) -> None:
    """Give up the lease, so that the next delivery need not wait for it to run out."""
    if isinstance(error, runs.LeaseLost):
        return
    try:
        async with deadline.within(_HURRY_SECONDS):
            await run.finish(JobStatus.FAILED, error=_reason(error))
    except RaptorFlowError as failure:
        log.warning("the lease of %s was not handed back: %s", run.job_id, failure)


def _read(returned: Returned) -> tuple[JobStatus, dict[str, Any] | None, Any]:
    match returned:
        case None:
            return JobStatus.COMPLETED, None, None
        case Skipped(reason, result):
            return JobStatus.SKIPPED, {**result, "reason": reason}, None
        case Partial(result, cursor):
            return JobStatus.PARTIAL, dict(result), cursor
        case Mapping():
            return JobStatus.COMPLETED, dict(returned), None
    raise TypeError(f"a job returns a mapping, Skipped, Partial or None, not {type(returned).__name__}")


def _reason(error: BaseException) -> str:
    return error.reason if isinstance(error, Drop) else type(error).__name__


async def _bury(task: Task, drop: Drop) -> Response:
    running = context.current()
    await dead_letter.publish(task.letter(), function=task.queue, topic="", drop=drop)
    if running is not None:
        running.outcome, running.reason = "drop", drop.reason
    return Response(status_code=204)
