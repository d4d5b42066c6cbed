"""Workers that have nothing to do: what they cost, and what wakes them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from common.redis.listener import Listener, Subscriber
from common.redis.queue import QueueService
from common.redis.queue_bells import announce
from common.redis.queue_config import QUEUES
from common.redis.queue_models import Job, NewJob
from common.redis.worker import QueueWorker
from tests.redis.queueing import QUEUE, SETTINGS, fast_leases, new_process, until, working

if TYPE_CHECKING:
    import pytest

    from common.redis.client import RedisClient
    from tests.redis.counting import Count

__all__ = ["new_process"]

QUEUED = QueueService()


async def test_an_idle_worker_sends_nothing_and_wakes_at_once(client: RedisClient, count: Count) -> None:
    seen: list[Any] = []

    async def handler(job: Job) -> None:
        seen.append(job.data)

    async with working(QueueWorker(QUEUE, handler)):
        await asyncio.sleep(0.3)
        async with count() as spent:
            await asyncio.sleep(1)
        assert spent.commands == 0, spent
        await QUEUED.enqueue(QUEUE, "here")
        await until(lambda: seen == ["here"], 0.5)
        await QUEUED.enqueue(QUEUE, "soon", delay=0.3)
        await until(lambda: seen == ["here", "soon"], 1)


async def test_an_announcement_wakes_a_worker_elsewhere(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.redis.queue_put.ring", lambda _: None)  # another process's
    seen: list[Any] = []

    async def handler(job: Job) -> None:
        seen.append(job.data)

    async with working(QueueWorker(QUEUE, handler)):
        await asyncio.sleep(0.3)
        for number in range(3):
            await QUEUED.enqueue(QUEUE, number, wake=partial(announce, QUEUE))
            await until(lambda number=number: number in seen, 1)  # type: ignore[misc]


async def test_what_is_announced_before_a_worker_hears_is_found(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.redis.queue_put.ring", lambda _: None)
    hears = asyncio.Event()
    seen: list[Any] = []
    add = Listener.add

    async def late(self: Listener, subscriber: Subscriber) -> None:
        await hears.wait()
        await add(self, subscriber)

    async def handler(job: Job) -> None:
        seen.append(job.data)

    monkeypatch.setattr(Listener, "add", late)
    async with working(QueueWorker(QUEUE, handler)):
        await asyncio.sleep(0.2)
        await QUEUED.enqueue(QUEUE, 1, wake=partial(announce, QUEUE))
        await asyncio.sleep(0.1)
        assert seen == []
        hears.set()
        await until(lambda: seen == [1], 2)


async def test_a_failed_job_is_tried_again_in_time_while_another_runs(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUEUES, QUEUE, replace(SETTINGS, backoff=0.2))
    tries: list[int] = []

    async def handler(job: Job) -> None:
        if job.data == "long":
            await until(lambda: len(tries) == 2, 3)
        else:
            await asyncio.sleep(0.3)  # until the worker has nothing else to look for
            tries.append(job.attempt)
            assert job.attempt == 2

    await QUEUED.enqueue_many(QUEUE, [NewJob("long"), NewJob("fails once")])
    async with working(QueueWorker(QUEUE, handler)):
        await until(lambda: len(tries) == 2, 2)


async def test_an_idle_worker_takes_over_from_a_dead_one_in_time(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast_leases(monkeypatch, 1)
    seen: list[int] = []

    async def handler(job: Job) -> None:
        seen.append(job.attempt)

    await QUEUED.enqueue(QUEUE, 1)
    assert await QUEUED.dequeue(QUEUE)
    async with working(QueueWorker(QUEUE, handler)):
        await until(lambda: seen == [2], 1.5)
