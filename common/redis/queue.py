"""Job queues (R13): leased, acknowledged, tried again, and nothing lost on the way.

    queue = QueueService()
    await queue.enqueue("emails", {"to": "…"}, job_id=f"welcome/{user_id}", wake=call_the_drain_function)

    job = await queue.dequeue("emails")          # or let a `QueueWorker` do it
    await send(job.data, key=job.job_id)
    await queue.ack(job, {"sent": True})

A job is delivered at least once: whoever takes it holds a lease, and if he dies it goes to somebody else when the
lease ends. So a handler must recognise by ``job_id`` what it has done already. What a worker does after its lease has
ended counts for nothing: it is told so by `LeaseLost`, and the job's new holder is not disturbed.

    worker A   take ──────── (frozen) ─────────────────── ack → LeaseLost
    lease      |────────────────────|
    worker B                         take ──────── ack → stored

A job is known by its id while it waits, runs, is a dead letter, or its result is kept; enqueueing it again meanwhile
does nothing, so an enqueueing whose answer was lost is simply repeated.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from common.redis import keys, queue_read, queue_settle, queue_take
from common.redis.client import redis_client
from common.redis.lua.queue_care import QUEUE_PROGRESS_SCRIPT
from common.redis.moments import from_ms
from common.redis.queue_admin import QueueAdmin
from common.redis.queue_config import queue_settings
from common.redis.queue_models import Job, JobStatus, NewJob, Taken
from common.redis.queue_put import Wake, put
from common.redis.queue_records import completed_record, now_ms, shortened
from common.redis.values import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_PROGRESS_BYTES = 4096
PROGRESS_TTL_MS = 3_600_000


class QueueService(QueueAdmin):
    """Queues by name; `common.redis.queue_config` says which there are.

    Every method raises `UnknownQueue` for a name that is not declared there, and what `RedisClient.execute` raises.

    Args:
        jitter: a number from 0 to 1, which spreads the pauses after failures.
    """

    def __init__(self, *, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter

    async def enqueue(
        self,
        queue_name: str,
        job_data: Any,
        priority: int = 0,
        *,
        job_id: str | None = None,
        delay: float = 0.0,
        wake: Wake | None = None,
    ) -> str:
        """Enqueue a job; its id (X = 3; 4 with ``wake``; 1 RT).

        Jobs of a higher priority go first; within one, those of one producer keep their order.

        Args:
            queue_name: a declared queue.
            job_data: JSON, 256 KB at most.
            priority: from -2047 to 2047; the higher, the sooner.
            job_id: one of your own makes it safe to enqueue it again; a job of that id that is known stays as it is.
            delay: seconds before it may run.
            wake: called if no job was waiting before: nobody may be looking. Called too where the job is known already
                and may be waiting for that very call. For a delayed job, called if it is the first that becomes due;
                what it starts should then come after ``delay``. If it fails, so does this call, with the job enqueued:
                enqueue it again by its id.

        Raises:
            InvalidJob: the id, the priority or the delay cannot be.
            InvalidValue: the data is not JSON, or too large.
            QueueFull: too many jobs wait.
        """
        (name,) = await put(queue_name, [NewJob(job_data, priority, job_id, delay)], wake)
        return name

    async def enqueue_many(self, queue_name: str, jobs: Sequence[NewJob], *, wake: Wake | None = None) -> list[str]:
        """Enqueue up to 500 jobs, all or none; their ids, in order (X = 4 in all, 5 with ``wake``; 1 RT).

        Raises:
            InvalidJob: see `enqueue`; nothing was enqueued.
            InvalidValue: see `enqueue`; nothing was enqueued.
            QueueFull: they would be too many; nothing was enqueued.
        """
        return await put(queue_name, jobs, wake)

    async def dequeue(self, queue_name: str) -> Job | None:
        """Take the next job under a lease of `QueueSettings.lease` seconds, or None (X = 4; 3 if there is none).

        Who takes it acknowledges it in time, or renews the lease with `heartbeat`; `QueueWorker` does both.
        """
        return next(iter((await self.take(queue_name)).jobs), None)

    async def take(self, queue_name: str, n: int = 1) -> Taken:
        """Take up to ``n`` jobs, and learn when to look again if there are fewer (X = 4 in all).

        Once a second it also puts back what is due: delayed jobs, and those of dead workers (X = 5).

        Raises:
            InvalidJob: ``n`` is not from 1 to 100.
        """
        return await queue_take.take(queue_name, n)

    async def ack(self, job: Job, result: Any = None) -> Job:
        """A job is done: keep its result for `QueueSettings.result_ttl` seconds (X = 3). Safe to repeat.

        Raises:
            LeaseLost: another worker has it, or will; nothing was stored.
            InvalidValue: the result is not JSON, or too large; the job is still held.
        """
        now = now_ms()
        (held,) = await queue_settle.acknowledge(job.queue_name, [(job, completed_record(job, result, now))], now)
        if not held:
            raise queue_settle.lost(job)
        return replace(job, status=JobStatus.COMPLETED, result=result, completed_at=from_ms(now), data=None)

    async def ack_many(self, done: Sequence[tuple[Job, Any]]) -> list[bool]:
        """Acknowledge several jobs of one queue; for each whether it was still held (X = 3 in all, 4 if one was not).

        Raises:
            InvalidValue: a result is not JSON, or too large; nothing was acknowledged.
        """
        now = now_ms()
        records = [(job, completed_record(job, result, now)) for job, result in done]
        return await queue_settle.acknowledge(done[0][0].queue_name, records, now) if done else []

    async def nack(self, job: Job, error: str, *, delay: float | None = None, final: bool = False) -> Job:
        """A try has failed: the job is tried again after a pause, or is a dead letter if it has no try left (X = 4; 8).

        Args:
            job: that was taken.
            error: why; operators read it at the dead letter.
            delay: seconds to pause; None for the queue's back-off, which doubles with each try, with jitter.
            final: never try it again.

        Raises:
            LeaseLost: another worker has it, or will.
        """
        pause = self.backoff(job) if delay is None else delay
        dead = await queue_settle.fail(job, error, pause, final=final)
        if dead:
            return replace(job, status=JobStatus.FAILED, error=shortened(error), completed_at=from_ms(now_ms()))
        return replace(job, status=JobStatus.PENDING, error=shortened(error), started_at=None)

    async def release(self, jobs: Sequence[Job]) -> int:
        """Give jobs back that were not begun, at their old place and without a try spent; how many (X = 4 in all)."""
        return sum(await queue_settle.give_back(jobs[0].queue_name, jobs)) if jobs else 0

    async def heartbeat(self, jobs: Sequence[Job]) -> list[Job]:
        """Renew the leases of all jobs that one worker holds; those that are lost (X = 2 in all, 3 if one is)."""
        if not jobs:
            return []
        leases = {queue_settle.lease_of(job, jobs[0].queue_name): job for job in jobs}
        return [leases[lease] for lease in await queue_settle.beat(jobs[0].queue_name, list(leases))]

    async def progress(self, job: Job, value: Any) -> None:
        """Tell how far a job is, for `get_job`; kept for an hour (X = 3).

        Raises:
            LeaseLost: another worker has it, or will.
            InvalidValue: not JSON, or more than 4 KB.
        """
        told = to_json(value, "a job's progress", limit=MAX_PROGRESS_BYTES)
        lease = queue_settle.lease_of(job, job.queue_name)
        both = [keys.queue(job.queue_name, "t"), keys.queue_progress(job.queue_name, job.job_id)]
        if not await redis_client().run(QUEUE_PROGRESS_SCRIPT, both, [lease, told, PROGRESS_TTL_MS], idempotent=True):
            raise queue_settle.lost(job)

    async def get_job(self, queue_name: str, job_id: str) -> Job | None:
        """A job by its id, with its result once it has one; None if it is not known, or no more (X = 2; 4 if not over).

        Raises:
            InvalidJob: the id cannot be one.
        """
        return await queue_read.find(queue_name, job_id)

    async def peek(self, queue_name: str) -> Job | None:
        """The job that would be taken next, without taking it; None if none waits (X = 2)."""
        return await queue_read.first(queue_name)

    def backoff(self, job: Job) -> float:
        """Seconds to pause after this try of a job failed: between half and all of a time that doubles with each."""
        settings = queue_settings(job.queue_name)
        longest = min(settings.max_backoff, settings.backoff * 2.0 ** min(max(job.attempt, 1) - 1, 30))
        return longest * (1 + self._jitter()) / 2
