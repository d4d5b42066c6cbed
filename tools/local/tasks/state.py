"""Queues and their tasks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
from google.cloud.tasks_v2 import types

from tools.local.rpc import ServiceError

TOMBSTONE_SECONDS = 3600.0
"""How long a task's name cannot be used again (the quota page's figure; the proto says up to 24 h)."""
_PURGE_EVERY = 256

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Task:
    """A task that is not done.

    Attributes:
        config: as the API shows it.
        attempts: dispatches that ended.
        executions: dispatches that were answered.
        running: whether one is under way.
        first: when the first began, by the monotonic clock.
        last_status: HTTP status of the last answer, 0 without one.
    """

    config: types.Task
    attempts: int = 0
    executions: int = 0
    running: bool = False
    first: float | None = None
    last_status: int = 0


@dataclass(slots=True)
class Queue:
    """A queue and its rate.

    Attributes:
        config: as the API shows it.
        tasks: by full name.
        changed: set whenever the next dispatch may have changed.
        running: dispatches under way.
    """

    config: types.Queue
    tasks: dict[str, Task] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    _tombstones: dict[str, float] = field(default_factory=dict)
    _tokens: float = 0.0
    _filled: float = 0.0

    def __post_init__(self) -> None:
        """Start with a full bucket."""
        self._tokens, self._filled = float(self.config.rate_limits.max_burst_size), time.monotonic()

    def add(self, config: types.Task) -> Task:
        """Take a task.

        Raises:
            ServiceError: ALREADY_EXISTS, also for a while after a task of the name has gone.
        """
        now = time.monotonic()
        if config.name in self.tasks or self._tombstones.get(config.name, 0.0) > now:
            raise ServiceError(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists")
        if len(self._tombstones) % _PURGE_EVERY == _PURGE_EVERY - 1:
            self._tombstones = {name: until for name, until in self._tombstones.items() if until > now}
        task = self.tasks[config.name] = Task(config)
        self.changed.set()
        return task

    def task(self, name: str) -> Task:
        """The task of this full name.

        Raises:
            ServiceError: NOT_FOUND.
        """
        if name not in self.tasks:
            gone = self._tombstones.get(name, 0.0) > time.monotonic()
            message = "The task no longer exists, though a task with this name existed recently."
            raise ServiceError(grpc.StatusCode.NOT_FOUND, message if gone else "Requested entity was not found.")
        return self.tasks[name]

    def remove(self, name: str) -> None:
        """Forget a task; its name stays taken for a while."""
        if self.tasks.pop(name, None) is not None:
            self._tombstones[name] = time.monotonic() + TOMBSTONE_SECONDS
        self.changed.set()

    def take(self) -> Task | float | None:
        """The next task to dispatch, marked as running; else the seconds until there may be one; None for no idea."""
        if self.config.state != types.Queue.State.RUNNING:
            return None
        if self.running >= self.config.rate_limits.max_concurrent_dispatches:
            return None
        waiting = [task for task in self.tasks.values() if not task.running]
        if not waiting:
            return None
        task = min(waiting, key=lambda item: item.config.schedule_time)
        now = datetime.now(UTC)  # noqa: TID251 - a server's own time
        left: float = (task.config.schedule_time - now) / timedelta(seconds=1)
        if left > 0:
            return left
        return task if self._token() else 1 / self.config.rate_limits.max_dispatches_per_second

    def _token(self) -> bool:
        limits, now = self.config.rate_limits, time.monotonic()
        filled = self._tokens + (now - self._filled) * limits.max_dispatches_per_second
        self._tokens, self._filled = min(float(limits.max_burst_size), filled), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class State:
    """All queues; ``opened`` and ``closed`` are told of each."""

    def __init__(self, opened: Callable[[Queue], None], closed: Callable[[Queue], None]) -> None:
        self.queues: dict[str, Queue] = {}
        self._opened, self._closed = opened, closed

    def create(self, config: types.Queue) -> Queue:
        """Add a queue.

        Raises:
            ServiceError: ALREADY_EXISTS.
        """
        if config.name in self.queues:
            raise ServiceError(grpc.StatusCode.ALREADY_EXISTS, "Queue already exists")
        queue = self.queues[config.name] = Queue(config)
        self._opened(queue)
        return queue

    def queue(self, name: str) -> Queue:
        """The queue of this full name.

        Raises:
            ServiceError: NOT_FOUND.
        """
        if name not in self.queues:
            raise ServiceError(grpc.StatusCode.NOT_FOUND, "Queue does not exist.")
        return self.queues[name]

    def delete(self, name: str) -> None:
        """Remove a queue with its tasks.

        Raises:
            ServiceError: NOT_FOUND.
        """
        queue = self.queue(name)
        del self.queues[name]
        queue.tasks.clear()
        self._closed(queue)
