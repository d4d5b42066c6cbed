"""What becomes of a job that was taken: acknowledged, given back, tried again later, or buried."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common.redis import keys
from common.redis.client import redis_client
from common.redis.errors import InvalidJob, LeaseLost
from common.redis.lua.queue import QUEUE_ACK_SCRIPT, QUEUE_BEAT_SCRIPT
from common.redis.lua.queue_care import QUEUE_BURY_SCRIPT, QUEUE_RETURN_SCRIPT
from common.redis.queue_bells import ring
from common.redis.queue_config import queue_settings
from common.redis.queue_records import failed_outcome, now_ms
from common.redis.queue_take import queue_keys
from common.redis.queue_tickets import AFTER, Ticket
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.queue_models import Job

log = logging.getLogger(__name__)


async def acknowledge(queue_name: str, done: Sequence[tuple[Job, str]], now: int) -> list[bool]:
    """Store what was made of jobs and forget their leases; for each whether the lease was still its own.

    Safe to repeat, so a lost connection is not noticed.
    """
    if not done:
        return []
    arguments: list[str | int] = [AFTER + now + milliseconds(queue_settings(queue_name).result_ttl)]
    for job, record in done:
        arguments += [lease_of(job, queue_name), job.job_id, record]
    both = [keys.queue(queue_name, "t"), keys.queue(queue_name, "b")]
    return [bool(held) for held in await redis_client().run(QUEUE_ACK_SCRIPT, both, arguments, idempotent=True)]


async def beat(queue_name: str, leases: Sequence[str]) -> set[str]:
    """Renew leases; those that are lost."""
    if not leases:
        return set()
    until = now_ms() + milliseconds(queue_settings(queue_name).lease)
    timers = [keys.queue(queue_name, "t")]
    return set(await redis_client().run(QUEUE_BEAT_SCRIPT, timers, [until, *leases], idempotent=True))


async def give_back(queue_name: str, jobs: Sequence[Job]) -> list[bool]:
    """Put jobs back where they stood, as if nobody had taken them; for each whether it was held."""
    if not jobs:
        return []
    arguments: list[str | int] = []
    for job in jobs:
        ticket = Ticket.of_lease(lease_of(job, queue_name))
        arguments += [job.lease, ticket.score, str(ticket), "r"]
    held = await redis_client().run(QUEUE_RETURN_SCRIPT, queue_keys(queue_name)[:2], arguments)
    ring(queue_name)
    return [bool(one) for one in held]


async def fail(job: Job, error: str, delay: float, *, final: bool) -> bool:
    """Let a job be tried again after ``delay`` seconds, or make it a dead letter; whether it became one.

    Raises:
        LeaseLost: another worker has it.
    """
    settings = queue_settings(job.queue_name)
    lease, now = lease_of(job, job.queue_name), now_ms()
    ticket = Ticket.of_lease(lease).tried()
    dead = final or ticket.attempts >= settings.max_attempts
    if dead:
        outcome = failed_outcome(job, error, now)
        arguments: list[str | int] = [
            lease,
            job.job_id,
            outcome,
            now,
            milliseconds(settings.dead_ttl),
            settings.max_dead,
        ]
        held = await redis_client().run(QUEUE_BURY_SCRIPT, queue_keys(job.queue_name), arguments)
    else:
        place = [now + milliseconds(delay), ticket.delayed, "t"] if delay else [ticket.score, str(ticket), "r"]
        (held,) = await redis_client().run(QUEUE_RETURN_SCRIPT, queue_keys(job.queue_name)[:2], [lease, *place])
        ring(job.queue_name)
    if not held:
        raise lost(job)
    if dead:
        log.error("a job became a dead letter", extra={"fields": fields(job)})
    return dead


def lease_of(job: Job, queue_name: str) -> str:
    """A job's lease.

    Raises:
        InvalidJob: it was only looked at, or taken from another queue.
    """
    if not job.lease or job.queue_name != queue_name:
        raise InvalidJob(f"job {job.job_id} was not taken from queue {queue_name!r}: use what dequeue() or take() gave")
    return job.lease


def lost(job: Job) -> LeaseLost:
    """The error that tells a worker to stop."""
    return LeaseLost(
        f"the lease of job {job.job_id} in queue {job.queue_name!r} has ended: another worker has the job, or will;"
        " leave it, and renew leases in time (heartbeat)"
    )


def fields(job: Job) -> dict[str, str | int]:
    """What a log line says of a job."""
    return {"queue": job.queue_name, "job_id": job.job_id, "attempt": job.attempt}
