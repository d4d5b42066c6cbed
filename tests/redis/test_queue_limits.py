"""Whom a queue calls, and what it does not keep."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from common.redis.queue import QueueService
from common.redis.queue_config import QUEUES
from common.redis.queue_models import Job, NewJob
from tests.redis.counting import keys_without_end
from tests.redis.faults import Died, faults
from tests.redis.queueing import QUEUE, SETTINGS, new_process
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient

__all__ = ["new_process"]

HUGE = "x" * 262_143
QUEUED = QueueService()


class Calls:
    """A wake-up call that counts."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self) -> None:
        self.made += 1


async def test_wake_is_called_when_no_job_was_waiting(client: RedisClient) -> None:
    wake = Calls()
    await QUEUED.enqueue(QUEUE, 1, wake=wake)
    assert wake.made == 1
    await QUEUED.enqueue(QUEUE, 2, wake=wake)
    await QUEUED.enqueue_many(QUEUE, [NewJob(3), NewJob(4)], wake=wake)
    assert wake.made == 1
    for _ in range(4):
        await QUEUED.dequeue(QUEUE)
    called: list[int] = []
    await QUEUED.enqueue_many(QUEUE, [NewJob(5), NewJob(6)], wake=lambda: called.append(1))
    assert called == [1]
    await QUEUED.clear_queue(QUEUE)
    await QUEUED.pause(QUEUE)
    await QUEUED.enqueue(QUEUE, 7, wake=wake)
    assert wake.made == 2


async def test_wake_is_called_for_what_becomes_due_before_everything_else(client: RedisClient) -> None:
    wake = Calls()
    for delay, calls in ((60, 1), (90, 1), (30, 2), (30, 2)):
        await QUEUED.enqueue(QUEUE, 1, delay=delay, wake=wake)
        assert wake.made == calls


@pytest.mark.parametrize("delay", [0, 5])
async def test_whoever_died_before_the_wake_repeats_it(client: RedisClient, delay: float) -> None:
    wake = Calls()
    with faults("dies after"), pytest.raises(Died):
        await QUEUED.enqueue(QUEUE, 1, job_id="j", delay=delay, wake=wake)
    assert wake.made == 0
    await QUEUED.enqueue(QUEUE, 2, job_id="k", delay=delay * 2, wake=wake)
    assert wake.made == 0
    await QUEUED.enqueue(QUEUE, 1, job_id="j", delay=delay, wake=wake)
    assert wake.made == 1
    assert (await QUEUED.stats(QUEUE)).delayed + await QUEUED.queue_length(QUEUE) == 2


async def test_a_wake_that_fails_fails_the_call_and_may_be_repeated(client: RedisClient) -> None:
    async def broken() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await QUEUED.enqueue(QUEUE, 1, job_id="j", wake=broken)
    wake = Calls()
    await QUEUED.enqueue(QUEUE, 1, job_id="j", wake=wake)
    assert (wake.made, await QUEUED.queue_length(QUEUE)) == (1, 1)


async def test_every_key_is_bounded(client: RedisClient) -> None:
    """Ready and timers by `max_length`, dead letters by `max_dead`, bodies by these and the results that are kept."""
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(9)])
    jobs = (await QUEUED.take(QUEUE, 9)).jobs
    await QUEUED.ack_many([(job, {"a": 1}) for job in jobs[:3]])
    await QUEUED.progress(jobs[3], 1)
    await asyncio.gather(*(QUEUED.nack(job, "no", final=True) for job in jobs[3:]))
    await QUEUED.enqueue(QUEUE, 1)
    whole = "raptorflow:queue:{tests}"
    assert await keys_without_end(client) == {f"{whole}:{part}" for part in "rtbd"}
    assert await client.execute("ZCARD", f"{whole}:d") == SETTINGS.max_dead
    assert await client.execute("HLEN", f"{whole}:b") == 3 + SETTINGS.max_dead + 1


async def test_nothing_is_left_when_its_time_is_over(client: RedisClient) -> None:
    with Timeline(client) as time:
        await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(5)])
        jobs = (await QUEUED.take(QUEUE, 5)).jobs
        await QUEUED.ack_many([(job, 1) for job in jobs[:3]])
        await QUEUED.progress(jobs[3], 1)
        for job in jobs[3:]:
            await QUEUED.nack(job, "no", final=True)
        await time.advance(SETTINGS.result_ttl)
        assert (await QUEUED.take(QUEUE)).next_due is None
        assert await client.execute("HLEN", "raptorflow:queue:{tests}:b") == 2
        await time.advance(SETTINGS.dead_ttl)
        await QUEUED.take(QUEUE)
        assert await client.execute("KEYS", "*") == []


async def test_many_results_go_though_one_look_removes_only_some(client: RedisClient) -> None:
    with Timeline(client) as time:
        for batch in range(12):
            await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(100)])
            await QUEUED.ack_many([(job, batch) for job in (await QUEUED.take(QUEUE, 100)).jobs])
        await time.advance(SETTINGS.result_ttl)
        left = []
        for _ in range(3):
            await QUEUED.take(QUEUE)
            left.append(await client.execute("HLEN", "raptorflow:queue:{tests}:b"))
            await time.advance(1)
        assert left == [700, 200, 0]


def test_each_declared_queue_makes_sense() -> None:
    assert {"agent_tasks", "webhooks", "emails"} < QUEUES.keys()
    for settings in QUEUES.values():
        assert settings.lease >= 1
        assert settings.max_attempts >= 1
        assert 0 < settings.backoff <= settings.max_backoff
        assert settings.result_ttl >= 60
        assert settings.dead_ttl >= settings.result_ttl


@pytest.mark.parametrize(("attempt", "least", "most"), [(0, 1, 2), (1, 1, 2), (2, 2, 4), (5, 16, 32), (900, 30, 60)])
def test_back_off_doubles_to_a_bound_with_jitter(attempt: int, least: float, most: float) -> None:
    job = Job("j", QUEUE, None, attempt=attempt)
    assert QueueService(jitter=lambda: 0.0).backoff(job) == least
    assert QueueService(jitter=lambda: 1.0).backoff(job) == most
