"""Enqueueing; see `QueueService.enqueue`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from common.ids import new_id
from common.redis import keys, queue_room
from common.redis.client import redis_client
from common.redis.errors import InvalidJob, QueueFull
from common.redis.lua.queue import QUEUE_ENQUEUE_SCRIPT
from common.redis.queue_bells import ring
from common.redis.queue_config import queue_settings
from common.redis.queue_records import new_record, now_ms
from common.redis.queue_tickets import Ticket, line
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.queue_models import NewJob

Wake: TypeAlias = Callable[[], Awaitable[Any] | None]
"""Called when a job was enqueued that nobody may be waiting for, to have somebody come."""

MAX_BATCH = 500
MAX_ID_CHARACTERS = 200
RETRY_AFTER_SECONDS = 10.0


async def put(queue_name: str, jobs: Sequence[NewJob], wake: Wake | None) -> list[str]:
    """Enqueue all or none; the ids, in order. See `QueueService.enqueue_many`."""
    settings = queue_settings(queue_name)
    if not jobs:
        return []
    if len(jobs) > MAX_BATCH:
        raise InvalidJob(f"at most {MAX_BATCH} jobs can be enqueued together, not {len(jobs)}: split them")
    now = now_ms()
    ids = [new_id() if job.job_id is None else job_id(job.job_id) for job in jobs]
    several = dict(zip(reversed(ids), reversed(jobs), strict=True))  # of two with one id, the first
    delayed = any(job.delay for job in several.values())
    ready = any(not job.delay for job in several.values())
    count = wake is not None or delayed or queue_room.must_count(queue_name, len(several))
    arguments: list[str | int] = [int(count), settings.max_length]
    for name in dict.fromkeys(ids):
        arguments += _described(name, several[name], now)
    reply = await redis_client().run(
        QUEUE_ENQUEUE_SCRIPT,
        [keys.queue(queue_name, "r"), keys.queue(queue_name, "t"), keys.queue(queue_name, "b")],
        arguments,
        idempotent=True,  # the ids see to that
    )
    added, waiting, first = (int(part) for part in reply)
    if added < 0:
        raise QueueFull(
            f"{waiting} jobs wait in queue {queue_name!r}, and {settings.max_length} may: nothing was enqueued;"
            " try again later, or let more workers run",
            RETRY_AFTER_SECONDS,
        )
    if count and ready:
        queue_room.counted(queue_name, settings.max_length - waiting - len(several))
    if added:
        ring(queue_name)
    # A job that was there already may be this call's own work: executed, and its answer lost before wake was called.
    #   A  enqueues into the empty queue ─── answer lost ──────────────── again: it is there, and B's too; wakes
    #   B                                     finds A's job: no wake
    repeated = added < len(several)
    nobody_comes = waiting + added > 0 if repeated else waiting == 0
    if wake is not None and (first or (ready and nobody_comes)):
        await _call(wake)
    return ids


def job_id(given: str) -> str:
    """A job's id, if it can be one.

    Raises:
        InvalidJob: it cannot.
    """
    if type(given) is not str or not 0 < len(given) <= MAX_ID_CHARACTERS:
        raise InvalidJob(f"a job's id must be text of 1 to {MAX_ID_CHARACTERS} characters; leave it out for a new one")
    return given


def _described(name: str, job: NewJob, now: int) -> list[str | int]:
    delay = milliseconds(job.delay, "a job's delay") if job.delay else 0
    ticket = Ticket(line.place(job.priority, now, delay), 0, name)
    record = new_record(job, ticket.order, now)
    if delay:
        return [name, record, ticket.score, ticket.delayed, now + delay]
    return [name, record, ticket.score, str(ticket), ""]


async def _call(wake: Wake) -> None:
    waking = wake()
    if inspect.isawaitable(waking):
        await waking
