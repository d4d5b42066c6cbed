"""What operators do with a queue, and what a dashboard shows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.redis import keys
from common.redis.client import redis_client, require
from common.redis.errors import InvalidJob
from common.redis.lua.queue_care import QUEUE_CLEAR_SCRIPT, QUEUE_REPLAY_SCRIPT
from common.redis.queue_bells import ring
from common.redis.queue_config import queue_settings
from common.redis.queue_models import Job, QueueStats
from common.redis.queue_put import MAX_BATCH
from common.redis.queue_records import now_ms, read_record, replayed_record
from common.redis.queue_take import queue_keys
from common.redis.queue_tickets import AFTER, Ticket, line

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAUSED = "!"


class QueueAdmin:
    """The half of `QueueService` that looks after queues rather than jobs."""

    async def queue_length(self, queue_name: str) -> int:
        """How many jobs wait for a worker; those that wait for their time are not among them (X = 1)."""
        ready = keys.queue(_known(queue_name), "r")
        length: int = await redis_client().execute("ZCOUNT", ready, "(-inf", "+inf", idempotent=True)
        return length

    async def stats(self, queue_name: str) -> QueueStats:
        """A queue's figures (X = 4); it reads the names of all that is delayed or running."""
        ready, timers, _, dead = queue_keys(_known(queue_name))
        jobs, paused, timed, letters = require(
            await redis_client().pipeline(
                [
                    ("ZCOUNT", ready, "(-inf", "+inf"),
                    ("ZSCORE", ready, _PAUSED),
                    ("ZRANGEBYSCORE", timers, "-inf", f"({AFTER}"),
                    ("ZCARD", dead),
                ],
                idempotent=True,
            )
        )
        delayed = sum(member.startswith("d") for member in timed)
        return QueueStats(jobs, delayed, len(timed) - delayed, letters, paused is not None)

    async def pause(self, queue_name: str) -> None:
        """Hand out nothing until `resume`; what is running goes on, and jobs may be enqueued (X = 1).

        It costs nothing while no queue is paused: the pause is a member of the ready set in front of every job.
        """
        await redis_client().execute("ZADD", keys.queue(_known(queue_name), "r"), "-inf", _PAUSED, idempotent=True)

    async def resume(self, queue_name: str) -> int:
        """Hand out jobs again; how many wait, so that the caller may have somebody come (X = 2)."""
        ready = keys.queue(_known(queue_name), "r")
        steps = [("ZREM", ready, _PAUSED), ("ZCARD", ready)]
        _, waiting = require(await redis_client().pipeline(steps, idempotent=True))
        ring(queue_name)
        return int(waiting)

    async def clear_queue(self, queue_name: str) -> int:
        """Remove every job that waits, for a worker or for its time; how many that were.

        What is running goes on; results and dead letters stay; a paused queue stays paused.
        """
        removed = stepped_over = 0
        more = True
        while more:
            gone, kept, more = await redis_client().run(
                QUEUE_CLEAR_SCRIPT, queue_keys(_known(queue_name))[:3], [stepped_over], idempotent=True
            )
            removed, stepped_over = removed + gone, stepped_over + kept
        return removed

    async def dead_letters(self, queue_name: str, limit: int = 100) -> list[Job]:
        """The newest dead letters: their data, the last error, how often they were tried (X = 2).

        Raises:
            InvalidJob: ``limit`` is not from 1 to 500.
        """
        _, _, bodies, dead = queue_keys(_known(queue_name))
        if type(limit) is not int or not 1 <= limit <= MAX_BATCH:
            raise InvalidJob(f"1 to {MAX_BATCH} dead letters can be read at a time, not {limit!r}")
        ids = await redis_client().execute("ZRANGE", dead, 0, limit - 1, "REV", idempotent=True)
        if not ids:
            return []
        records = await redis_client().execute("HMGET", bodies, *ids, idempotent=True)
        return [read_record(queue_name, one, record) for one, record in zip(ids, records, strict=True) if record]

    async def replay(self, queue_name: str, job_ids: Sequence[str]) -> int:
        """Enqueue dead letters again, with all their attempts; how many of these there were (X = 2 + 4 each).

        Example:
            >>> letters = await queue.dead_letters("emails")
            >>> await queue.replay("emails", [letter.job_id for letter in letters])
            2

        Raises:
            InvalidJob: more than 500 at a time.
        """
        four = queue_keys(_known(queue_name))
        if len(job_ids) > MAX_BATCH:
            raise InvalidJob(f"at most {MAX_BATCH} dead letters can be replayed together: split them")
        if not job_ids:
            return 0
        records = await redis_client().execute("HMGET", four[2], *job_ids, idempotent=True)
        arguments: list[str] = []
        for job_id, record in zip(job_ids, records, strict=True):
            if record is not None:
                order = line.place(read_record(queue_name, job_id, record).priority, now_ms())
                ticket = Ticket(order, 0, job_id)
                arguments += [job_id, replayed_record(record, order), ticket.score, str(ticket)]
        if not arguments:
            return 0
        replayed: int = await redis_client().run(QUEUE_REPLAY_SCRIPT, four, arguments)
        ring(queue_name)
        return replayed


def _known(queue_name: str) -> str:
    queue_settings(queue_name)
    return queue_name
