"""Taking jobs under a lease; see `QueueService.take`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from common.ids import new_id
from common.redis import keys
from common.redis.client import redis_client
from common.redis.errors import InvalidJob
from common.redis.lua.queue import QUEUE_DEQUEUE_SCRIPT
from common.redis.moments import from_ms
from common.redis.queue_config import queue_settings
from common.redis.queue_models import JobStatus, Taken
from common.redis.queue_records import now_ms, read_record
from common.redis.queue_tickets import Ticket
from common.redis.values import milliseconds

log = logging.getLogger(__name__)

MAX_TAKEN = 100

LOOK_EVERY_MS = 1000
"""Between looks at the timers while there is enough to do: a dead worker's jobs are back within the lease and this."""

FORGET_EVERY_MS = 600_000
"""Between looks at results and dead letters whose time is over."""


@dataclass(slots=True)
class _Looked:
    timers: int = 0
    over: int = 0

    def sweep(self, now: int) -> int:
        """How thoroughly to look this time: 0, 1 for timers, 2 for what is over too."""
        if not 0 <= now - self.over < FORGET_EVERY_MS:
            self.over = self.timers = now
            return 2
        if not 0 <= now - self.timers < LOOK_EVERY_MS:
            self.timers = now
            return 1
        return 0


_looked: dict[str, _Looked] = {}


async def take(queue_name: str, n: int) -> Taken:
    """Take up to ``n`` jobs; see `QueueService.take`."""
    settings = queue_settings(queue_name)
    if type(n) is not int or not 1 <= n <= MAX_TAKEN:
        raise InvalidJob(f"1 to {MAX_TAKEN} jobs can be taken at a time, not {n!r}")
    now, token = now_ms(), new_id()[-12:]
    looked = _looked.setdefault(queue_name, _Looked())
    sweep = looked.sweep(now)
    limits: list[str | int] = [settings.max_attempts, milliseconds(settings.dead_ttl), settings.max_dead]
    arguments = [now, now + milliseconds(settings.lease), n, token, sweep, *limits]
    reply = await redis_client().run(QUEUE_DEQUEUE_SCRIPT, queue_keys(queue_name), arguments)
    tickets, records, next_due, more, paused, died = reply
    for job_id in died:
        log.error("a job became a dead letter", extra={"fields": {"queue": queue_name, "job_id": job_id}})
    if more:
        looked.over = looked.timers - FORGET_EVERY_MS + LOOK_EVERY_MS
    jobs = []
    for text, record in zip(tickets, records, strict=True):
        ticket = Ticket.parse(text)
        if record is None:  # somebody deleted it; its lease ends, its attempts too, then the ticket is dropped
            log.error("a job has no body", extra={"fields": {"queue": queue_name, "job_id": ticket.job_id}})
            continue
        job = read_record(queue_name, ticket.job_id, record)
        jobs.append(
            replace(
                job,
                status=JobStatus.PROCESSING,
                started_at=from_ms(now),
                attempt=ticket.attempts + 1,
                lease=ticket.leased(token),
            )
        )
    return Taken(jobs, from_ms(int(next_due)) if next_due else None, bool(paused))


def queue_keys(queue_name: str) -> list[str]:
    """Ready, timers, bodies, dead: what most scripts take."""
    ready, timers = keys.queue(queue_name, "r"), keys.queue(queue_name, "t")
    return [ready, timers, keys.queue(queue_name, "b"), keys.queue(queue_name, "d")]
