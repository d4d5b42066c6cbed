"""The queues that there are, and how each treats its jobs; what is not listed here is no queue."""

from __future__ import annotations

from dataclasses import dataclass

from common.redis.errors import UnknownQueue

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How a queue treats its jobs; times are in seconds.

    Attributes:
        lease: that a worker holds a job without a sign of life; workers renew it every third of it. A dead worker's
            jobs are back after it.
        max_attempts: tries, those that died included, before a job becomes a dead letter.
        backoff: the pause after a job's first failure; it doubles with each further one.
        max_backoff: where the pause stops growing.
        result_ttl: that a completed job is remembered: its result can be read, and its id is a duplicate.
        max_length: jobs that may wait at a time, and as many that wait for their time; beyond it they are refused.
        max_dead: dead letters that are kept; the oldest make room.
        dead_ttl: that a dead letter is kept.
    """

    lease: float = 30.0
    max_attempts: int = 5
    backoff: float = 2.0
    max_backoff: float = 600.0
    result_ttl: float = HOUR
    max_length: int = 50_000
    max_dead: int = 1_000
    dead_ttl: float = 14 * DAY


QUEUES: dict[str, QueueSettings] = {
    "agent_tasks": QueueSettings(max_attempts=3, backoff=5.0),  # a try costs tokens
    "webhooks": QueueSettings(max_attempts=8, result_ttl=DAY),  # providers repeat themselves for a day
    "emails": QueueSettings(max_attempts=8, result_ttl=DAY),  # a mail must not leave twice
    "default": QueueSettings(),
    "memory": QueueSettings(),
    "analytics": QueueSettings(),
    "maintenance": QueueSettings(),
    "billing": QueueSettings(max_attempts=10, result_ttl=DAY),
    "research": QueueSettings(max_attempts=3, backoff=5.0),
    "content": QueueSettings(max_attempts=3, backoff=5.0),
    "notifications": QueueSettings(max_attempts=8, result_ttl=DAY),
    "exports": QueueSettings(max_attempts=3),
}
"""Domain 3.4. A new queue is a new line."""


def queue_settings(queue_name: object) -> QueueSettings:
    """How a queue treats its jobs.

    Raises:
        UnknownQueue: there is none of that name.
    """
    found = QUEUES.get(queue_name) if isinstance(queue_name, str) else None
    if found is None:
        known = ", ".join(QUEUES)
        raise UnknownQueue(
            f"there is no queue {str(queue_name)[:100]!r}: use one of {known}; a new one is added to"
            " common/redis/queue_config.py"
        )
    return found
