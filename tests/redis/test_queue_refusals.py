"""What a queue refuses; nothing is written then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput
from common.redis import queue_room
from common.redis.errors import InvalidJob, InvalidTTL, InvalidValue, QueueFull, UnknownQueue
from common.redis.queue import QueueService
from common.redis.queue_models import NewJob
from tests.redis.queueing import QUEUE, new_process

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

__all__ = ["new_process"]

HUGE = "x" * 262_143
QUEUED = QueueService()


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (float("nan"), {}, InvalidValue, "a job's data must be JSON"),
        ({1: 2}, {}, InvalidValue, "text as the keys"),
        ((1, 2), {}, InvalidValue, "lists rather than tuples"),
        (object(), {}, InvalidValue, "must be JSON"),
        (HUGE, {}, InvalidValue, "at most 262144 bytes"),
        ("\ud800", {}, InvalidValue, "must be JSON"),
        (1, {"job_id": ""}, InvalidJob, "1 to 200 characters"),
        (1, {"job_id": "x" * 201}, InvalidJob, "1 to 200 characters"),
        (1, {"job_id": 7}, InvalidJob, "must be text"),
        (1, {"job_id": "\ud800"}, InvalidInput, "surrogates"),
        (1, {"priority": 2048}, InvalidJob, "from -2047 to 2047"),
        (1, {"priority": -2048}, InvalidJob, "from -2047 to 2047"),
        (1, {"priority": 1.0}, InvalidJob, "whole number"),
        (1, {"priority": True}, InvalidJob, "whole number"),
        (1, {"delay": -1}, InvalidTTL, "a job's delay must be more than 0"),
        (1, {"delay": float("nan")}, InvalidTTL, "a job's delay must be a finite number"),
        (1, {"delay": float("inf")}, InvalidTTL, "finite"),
        (1, {"delay": 1e12}, InvalidTTL, "at most"),
    ],
)
async def test_what_is_no_job_is_refused_and_its_batch_with_it(
    client: RedisClient, count: Count, data: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    async with count() as spent:
        with pytest.raises(error, match=message):
            await QUEUED.enqueue(QUEUE, data, **options)
        with pytest.raises(error, match=message):
            await QUEUED.enqueue_many(QUEUE, [NewJob(1), NewJob(data, **options), NewJob(2)])
    assert spent.commands == 0


@pytest.mark.parametrize("name", ["", "unknown", "emails ", "{emails}", 7, None, ["emails"], "x" * 5000])
async def test_an_unknown_queue_is_refused_everywhere(client: RedisClient, count: Count, name: Any) -> None:
    async with count() as spent:
        for call in (
            QUEUED.enqueue(name, 1),
            QUEUED.enqueue_many(name, []),
            QUEUED.dequeue(name),
            QUEUED.peek(name),
            QUEUED.queue_length(name),
            QUEUED.clear_queue(name),
            QUEUED.get_job(name, "j"),
            QUEUED.pause(name),
            QUEUED.resume(name),
            QUEUED.stats(name),
            QUEUED.dead_letters(name),
            QUEUED.replay(name, ["j"]),
        ):
            with pytest.raises(UnknownQueue, match=r"use one of agent_tasks, .*queue_config\.py"):
                await call
    assert spent.commands == 0


async def test_only_what_was_taken_can_be_settled(client: RedisClient, count: Count) -> None:
    await QUEUED.enqueue(QUEUE, 1)
    seen = await QUEUED.peek(QUEUE)
    assert seen is not None
    taken = await QUEUED.dequeue(QUEUE)
    assert taken is not None
    other = replace(taken, queue_name="emails")
    async with count() as spent:
        for call in (
            QUEUED.ack(seen),
            QUEUED.nack(seen, "no"),
            QUEUED.release([seen]),
            QUEUED.heartbeat([seen]),
            QUEUED.progress(seen, 1),
            QUEUED.ack_many([(taken, 1), (other, 2)]),
        ):
            with pytest.raises(InvalidJob, match="was not taken"):
                await call
        for refused in (QUEUED.ack(taken, HUGE), QUEUED.ack(taken, {1}), QUEUED.progress(taken, "x" * 5000)):
            with pytest.raises(InvalidValue):
                await refused
        with pytest.raises(InvalidTTL):
            await QUEUED.nack(taken, "no", delay=-1)
        for n in (0, 101, True, 1.0):
            with pytest.raises(InvalidJob, match="1 to 100"):
                await QUEUED.take(QUEUE, n)  # type: ignore[arg-type]
        with pytest.raises(InvalidJob, match="split them"):
            await QUEUED.enqueue_many(QUEUE, [NewJob(1)] * 501)
        with pytest.raises(InvalidJob, match="1 to 500"):
            await QUEUED.dead_letters(QUEUE, 0)
    assert spent.commands == 0
    await QUEUED.ack(taken)


async def test_the_largest_job(client: RedisClient) -> None:
    await QUEUED.enqueue(QUEUE, HUGE[:-1], job_id="₹" * 200)
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    await QUEUED.progress(job, 1)
    await QUEUED.ack(job, HUGE[:-1])
    kept = await QUEUED.get_job(QUEUE, "₹" * 200)
    assert kept is not None
    assert kept.result == HUGE[:-1]


async def test_a_full_queue_refuses_and_writes_nothing(client: RedisClient) -> None:
    for number in range(100):
        await QUEUED.enqueue(QUEUE, number)
    before = await client.execute("HLEN", "raptorflow:queue:{tests}:b")
    for call in (QUEUED.enqueue(QUEUE, 1), QUEUED.enqueue_many(QUEUE, [NewJob(1), NewJob(2)])):
        with pytest.raises(QueueFull, match="100 jobs wait in queue 'tests', and 100 may") as refused:
            await call
        assert refused.value.retry_after
    await QUEUED.enqueue_many(QUEUE, [NewJob(number, delay=5) for number in range(100)])
    with pytest.raises(QueueFull):
        await QUEUED.enqueue(QUEUE, 1, delay=5)
    assert await QUEUED.queue_length(QUEUE) == 100
    assert await client.execute("HLEN", "raptorflow:queue:{tests}:b") == before + 100
    await QUEUED.take(QUEUE, 10)
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(10)])
    with pytest.raises(QueueFull):
        await QUEUED.enqueue(QUEUE, 1)


def test_a_process_counts_again_after_a_twentieth_of_the_room() -> None:
    assert queue_room.must_count(QUEUE, 1)
    queue_room.counted(QUEUE, 100)
    assert not queue_room.must_count(QUEUE, 4)
    assert queue_room.must_count(QUEUE, 2)
    assert not queue_room.must_count(QUEUE, 1)
    assert queue_room.must_count(QUEUE, 1)
    queue_room.counted(QUEUE, 19)
    assert queue_room.must_count(QUEUE, 1)
