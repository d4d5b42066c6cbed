"""What the tests of queues share: a process that has done nothing yet, and a queue of their own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from common.redis import queue_admin, queue_put, queue_room, queue_take
from common.redis.queue_config import QUEUES, QueueSettings
from common.redis.queue_tickets import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from common.redis.worker import QueueWorker

QUEUE = "tests"
SETTINGS = QueueSettings(
    lease=30, max_attempts=3, backoff=2, max_backoff=60, result_ttl=600, max_length=100, max_dead=3
)


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    """As a process that has just begun; with the queue `QUEUE`."""
    line = Line()
    with (
        patch.dict(QUEUES, {QUEUE: SETTINGS}),
        patch.dict(queue_take._looked, clear=True),
        patch.dict(queue_room._rooms, clear=True),
        patch.object(queue_put, "line", line),
        patch.object(queue_admin, "line", line),
    ):
        yield


@asynccontextmanager
async def working(worker: QueueWorker) -> AsyncIterator[None]:
    running = asyncio.create_task(worker.start())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        await worker.stop()
        await running


async def until(said: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not said():
            await asyncio.sleep(0.005)


def fast_leases(monkeypatch: pytest.MonkeyPatch, lease: float = 0.3) -> None:
    monkeypatch.setitem(QUEUES, QUEUE, replace(SETTINGS, lease=lease))
