"""Looking at jobs without taking them."""

from __future__ import annotations

import json
from dataclasses import replace

from common.redis import keys
from common.redis.client import redis_client, require
from common.redis.queue_config import queue_settings
from common.redis.queue_models import Job, JobStatus
from common.redis.queue_put import job_id as checked
from common.redis.queue_records import order_of, read_record
from common.redis.queue_tickets import Ticket


async def find(queue_name: str, job_id: str) -> Job | None:
    """A job by its id; see `QueueService.get_job`."""
    settings = queue_settings(queue_name)
    bodies, told = keys.queue(queue_name, "b"), keys.queue_progress(queue_name, checked(job_id))
    record, progress = require(
        await redis_client().pipeline([("HGET", bodies, job_id), ("GET", told)], idempotent=True)
    )
    if record is None:
        return None
    job = read_record(queue_name, job_id, record)
    if progress is not None:
        job = replace(job, progress=json.loads(progress))
    if job.status is not JobStatus.PENDING:
        return job
    tickets = [Ticket(order_of(record), attempts, job_id) for attempts in range(settings.max_attempts)]
    waiting, delayed = require(
        await redis_client().pipeline(
            [
                ("ZMSCORE", keys.queue(queue_name, "r"), *map(str, tickets)),
                ("ZMSCORE", keys.queue(queue_name, "t"), *(ticket.delayed for ticket in tickets)),
            ],
            idempotent=True,
        )
    )
    for attempts, scores in enumerate(zip(waiting, delayed, strict=True)):
        if scores != (None, None):
            return replace(job, attempt=attempts)
    return replace(job, status=JobStatus.PROCESSING)


async def first(queue_name: str) -> Job | None:
    """The job that would be taken next; see `QueueService.peek`."""
    queue_settings(queue_name)
    ready = keys.queue(queue_name, "r")
    tickets = await redis_client().execute("ZRANGEBYSCORE", ready, "(-inf", "+inf", "LIMIT", 0, 1, idempotent=True)
    if not tickets:
        return None
    ticket = Ticket.parse(tickets[0])
    record = await redis_client().execute("HGET", keys.queue(queue_name, "b"), ticket.job_id, idempotent=True)
    if record is None:  # it was taken and completed in between
        return None
    return replace(read_record(queue_name, ticket.job_id, record), attempt=ticket.attempts)
