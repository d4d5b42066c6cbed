"""Failures, dead letters, pauses, clearing: what operators meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.redis.queue import QueueService
from common.redis.queue_models import Job, JobStatus, NewJob, QueueStats
from tests.redis.queueing import QUEUE, new_process
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    import pytest

    from common.redis.client import RedisClient

__all__ = ["new_process"]

QUEUED = QueueService(jitter=lambda: 1.0)


async def take() -> Job:
    job = await QUEUED.dequeue(QUEUE)
    assert job is not None
    return job


async def test_a_failing_job_is_tried_again_later_and_then_is_a_dead_letter(client: RedisClient) -> None:
    with Timeline(client) as time:
        await QUEUED.enqueue(QUEUE, {"a": []}, 3, job_id="j")
        for attempt, pause in ((1, 2), (2, 4)):
            job = await take()
            assert job.attempt == attempt
            failed = await QUEUED.nack(job, "no\ud800 luck")
            assert (failed.status, failed.error) == (JobStatus.PENDING, "no? luck")
            waiting = await QUEUED.get_job(QUEUE, "j")
            assert waiting is not None
            assert (waiting.status, waiting.attempt) == (JobStatus.PENDING, attempt)
            taken = await QUEUED.take(QUEUE)
            assert taken.jobs == []
            assert taken.next_due is not None
            assert (taken.next_due - time.now).total_seconds() == pause
            await time.advance(pause)
        job = await take()
        dead = await QUEUED.nack(job, "x" * 1000)
        assert (dead.status, dead.attempt, dead.error) == (JobStatus.FAILED, 3, "x" * 500)
        (letter,) = await QUEUED.dead_letters(QUEUE)
        assert (letter.job_id, letter.data, letter.priority, letter.error) == ("j", {"a": []}, 3, "x" * 500)
        assert (letter.status, letter.attempt, letter.started_at) == (JobStatus.FAILED, 3, job.started_at)
        assert letter == await QUEUED.get_job(QUEUE, "j")
        assert await QUEUED.stats(QUEUE) == QueueStats(ready=0, delayed=0, running=0, dead=1, paused=False)


async def test_a_job_that_kills_its_workers_is_a_dead_letter(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    with Timeline(client) as time:
        await QUEUED.enqueue(QUEUE, [], job_id="poison")
        for attempt in (1, 2, 3):
            assert (await take()).attempt == attempt
            await time.advance(30)
        assert await QUEUED.dequeue(QUEUE) is None
        (letter,) = await QUEUED.dead_letters(QUEUE)
        assert (letter.job_id, letter.data, letter.attempt) == ("poison", [], 3)
        assert letter.error == "its worker died, or could not say that it lives"
        assert letter.completed_at == time.now
    assert "a job became a dead letter" in caplog.text


async def test_a_dead_letter_is_replayed_once_with_all_its_tries(client: RedisClient) -> None:
    for job_id in ("a", "b"):
        await QUEUED.enqueue(QUEUE, job_id, 5, job_id=job_id)
        await QUEUED.nack(await take(), "no", final=True)
    await QUEUED.enqueue(QUEUE, "c", 5, job_id="c")
    assert [letter.job_id for letter in await QUEUED.dead_letters(QUEUE)] == ["b", "a"]
    assert [letter.job_id for letter in await QUEUED.dead_letters(QUEUE, 1)] == ["b"]
    assert await QUEUED.replay(QUEUE, ["a", "unknown", "c", "a"]) == 1
    assert await QUEUED.replay(QUEUE, ["a"]) == 0
    assert await QUEUED.replay(QUEUE, []) == 0
    taken = await QUEUED.take(QUEUE, 5)
    assert [(job.job_id, job.data, job.attempt) for job in taken.jobs] == [("c", "c", 1), ("a", "a", 1)]
    again = await QUEUED.nack(taken.jobs[1], "no", delay=0)
    assert again.status is JobStatus.PENDING
    assert [letter.job_id for letter in await QUEUED.dead_letters(QUEUE)] == ["b"]


async def test_the_oldest_dead_letters_make_room(client: RedisClient) -> None:
    with Timeline(client) as time:
        for number in range(5):
            await QUEUED.enqueue(QUEUE, number, job_id=str(number))
            await QUEUED.nack(await take(), "no", final=True)
            await time.advance(1)
        assert [letter.data for letter in await QUEUED.dead_letters(QUEUE)] == [4, 3, 2]
        assert await QUEUED.get_job(QUEUE, "1") is None


async def test_a_paused_queue_hands_out_nothing_and_loses_nothing(client: RedisClient) -> None:
    await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(3)])
    running = await take()
    await QUEUED.pause(QUEUE)
    await QUEUED.pause(QUEUE)
    await QUEUED.enqueue(QUEUE, 3, 2047)
    for n in (1, 2, 50):
        taken = await QUEUED.take(QUEUE, n)
        assert (taken.jobs, taken.paused) == ([], True)
    assert await QUEUED.queue_length(QUEUE) == 3
    assert await QUEUED.stats(QUEUE) == QueueStats(ready=3, delayed=0, running=1, dead=0, paused=True)
    first = await QUEUED.peek(QUEUE)
    assert first is not None
    assert first.data == 3
    await QUEUED.ack(running)
    assert await QUEUED.resume(QUEUE) == 3
    assert [job.data for job in (await QUEUED.take(QUEUE, 9)).jobs] == [3, 1, 2]


async def test_clearing_removes_what_waits_and_nothing_else(client: RedisClient) -> None:
    with Timeline(client) as time:
        await QUEUED.enqueue_many(QUEUE, [NewJob(number) for number in range(6)])
        jobs = (await QUEUED.take(QUEUE, 4)).jobs
        await QUEUED.ack(jobs[0], "kept")
        await QUEUED.nack(jobs[1], "kept", final=True)
        await QUEUED.nack(jobs[2], "gone", delay=50)
        await QUEUED.enqueue(QUEUE, "gone", delay=50)
        await QUEUED.pause(QUEUE)
        assert await QUEUED.clear_queue(QUEUE) == 4
        assert await QUEUED.stats(QUEUE) == QueueStats(ready=0, delayed=0, running=1, dead=1, paused=True)
        assert await client.execute("HLEN", "raptorflow:queue:{tests}:b") == 3
        await QUEUED.ack(jobs[3])
        await QUEUED.resume(QUEUE)
        await time.advance(60)
        assert await QUEUED.dequeue(QUEUE) is None
    assert await QUEUED.clear_queue(QUEUE) == 0


async def test_clearing_a_long_queue(client: RedisClient) -> None:
    waiting = "emails"  # which may be longer
    for _ in range(3):
        await QUEUED.enqueue_many(waiting, [NewJob(number) for number in range(400)])
        await QUEUED.take(waiting, 100)
        await QUEUED.take(waiting, 100)
        await QUEUED.enqueue_many(waiting, [NewJob(number, delay=9) for number in range(400)])
    assert await QUEUED.clear_queue(waiting) == 3 * 600
    assert await QUEUED.stats(waiting) == QueueStats(ready=0, delayed=0, running=600, dead=0, paused=False)


async def test_a_job_whose_body_was_deleted_ends_some_day(
    client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    with Timeline(client) as time:
        await QUEUED.enqueue_many(QUEUE, [NewJob("lost", job_id="lost"), NewJob("there")])
        await client.execute("HDEL", "raptorflow:queue:{tests}:b", "lost")
        assert [job.data for job in (await QUEUED.take(QUEUE, 2)).jobs] == ["there"]
        assert "a job has no body" in caplog.text
        for _ in range(3):
            await time.advance(30)
            await QUEUED.take(QUEUE, 2)
        assert await QUEUED.stats(QUEUE) == QueueStats(ready=0, delayed=0, running=0, dead=1, paused=False)
        assert await QUEUED.get_job(QUEUE, "lost") is None
    assert time.now > START
