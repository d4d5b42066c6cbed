"""Running one job: its handler under a lease that is renewed, and what becomes of it.

the handler raises    the job
InvalidInput          becomes a dead letter: the same call will never succeed
Unavailable           is tried again, after its ``retry_after`` if it says one
anything else         is tried again after the queue's back-off, and is a dead letter after its last try
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from common.backoff import pauses
from common.errors import InvalidInput, RaptorFlowError, Unavailable
from common.functions.context import RequestContext, bind, current
from common.redis.errors import LeaseLost
from common.redis.heartbeat import Heartbeat
from common.redis.moments import from_ms
from common.redis.queue_acks import Acknowledger
from common.redis.queue_models import Job, JobStatus
from common.redis.queue_records import completed_record, now_ms
from common.redis.queue_settle import fields, lease_of

if TYPE_CHECKING:
    from common.redis.queue import QueueService

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Job], Awaitable[Any]]
"""Does what a job asks for; it may come twice, and recognises by ``job_id`` what it has done already."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class Processor:
    """Of one worker; jobs that run at the same time share heartbeats and acknowledgements."""

    def __init__(self, queue_name: str, handler: Handler, service: QueueService) -> None:
        self._queue_name = queue_name
        self._handler = handler
        self._service = service
        self._heartbeat = Heartbeat(queue_name)
        self._acknowledger = Acknowledger(queue_name)

    async def process(self, job: Job) -> Job:
        """See `QueueWorker.process_job`."""
        lease_of(job, self._queue_name)
        with bind(_context(job)):
            try:
                async with self._heartbeat.holding(job):
                    result = await self._handler(job)
                    return await self._acknowledged(job, result)
            except LeaseLost as error:
                log.warning("a job goes to another worker", extra={"fields": fields(job)})
                return replace(job, error=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the job's
                return await self._failed(job, error)

    async def _acknowledged(self, job: Job, result: Any) -> Job:
        """Acknowledge until Redis answers; while it does not, the lease is renewed, or ends this."""
        completed_at = now_ms()
        record = completed_record(job, result, completed_at)
        for pause in pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS):
            try:
                await self._acknowledger.ack(job, record)
                break
            except LeaseLost:
                raise
            except Unavailable as error:
                log.warning(
                    "a job could not be acknowledged yet", extra={"fields": {**fields(job), "error": repr(error)}}
                )
            await asyncio.sleep(pause)
        ended = from_ms(completed_at)
        return replace(job, status=JobStatus.COMPLETED, result=result, completed_at=ended, data=None)

    async def _failed(self, job: Job, error: Exception) -> Job:
        expected = isinstance(error, RaptorFlowError)
        log.warning(
            "a job failed",
            exc_info=None if expected else error,
            extra={"fields": {**fields(job), "error": type(error).__name__}},
        )
        said = f"{type(error).__name__}: {error}"
        delay = (error.retry_after or None) if isinstance(error, Unavailable) else None
        try:
            return await self._service.nack(job, said, delay=delay, final=isinstance(error, InvalidInput))
        except RaptorFlowError as refused:
            log.warning(
                "a failed job comes back when its lease ends",
                extra={"fields": {**fields(job), "error": repr(refused)}},
            )
            return replace(job, error=said)


def _context(job: Job) -> RequestContext:
    """Log lines and messages of a job belong to the trace of whoever enqueued it."""
    outer = current()
    own = RequestContext(
        function=outer.function if outer else f"queue_{job.queue_name}",
        trace=outer.trace if outer else secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        sampled=outer.sampled if outer else True,
        execution_id=outer.execution_id if outer else "",
        event_id=job.job_id,
    )
    own.continue_trace(job.traceparent)
    return own
