"""Workers that are killed, or frozen, while they work: nothing is lost, and nothing is acknowledged twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from common.lifecycle import aclose_all
from common.redis.client import redis_client
from common.redis.queue import QueueService
from common.redis.queue_config import QUEUES
from common.redis.queue_models import JobStatus, NewJob, QueueStats
from tests.redis.queue_killer import CONCURRENCY, QUEUE, SETTINGS, WORKERS
from tests.redis.servers import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.redis.servers import RedisServer

JOBS = 5_000
KILLING_SECONDS = 8.0
LONG_JOBS = 8
BACK_SECONDS = SETTINGS.lease + 1
STALL_SECONDS = 0.05
"""A nap that is longer by more than this was not the sleeper's wish."""


@pytest.fixture
async def queue(own_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QueueService]:
    monkeypatch.setenv("UPSTASH_REDIS_URL", own_server.url)
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", TOKEN)
    own_server.start()
    with patch.dict(QUEUES, {QUEUE: SETTINGS}):
        yield QueueService()
    await aclose_all()


@contextmanager
def workers(folder: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.redis.queue_killer", str(folder), str(seconds)]
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
    assert code == 0, (folder / "errors").read_text()


@contextmanager
def stalls() -> Iterator[list[tuple[float, float]]]:
    """When this machine let nobody run, or not us: moments and seconds. No worker can be quicker than its machine."""
    found: list[tuple[float, float]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            began = time.monotonic()
            time.sleep(STALL_SECONDS / 2)
            over = time.monotonic() - began - STALL_SECONDS / 2
            if over > STALL_SECONDS:
                found.append((began, over))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        ended.set()
        watching.join()


async def until_done(queue: QueueService, jobs: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while True:
            stats = await queue.stats(QUEUE)
            known = await redis_client().execute("HLEN", f"raptorflow:queue:{{{QUEUE}}}:b")
            if known == jobs and not stats.ready + stats.delayed + stats.running:
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_five_thousand_jobs_while_workers_are_silenced(queue: QueueService, tmp_path: Path) -> None:
    jobs = [NewJob(2.5 if number < LONG_JOBS else 0.04, number % 3, f"job{number}") for number in range(JOBS)]
    with stalls() as stalled, workers(tmp_path, KILLING_SECONDS):
        for number in range(0, JOBS, 100):
            await queue.enqueue_many(QUEUE, jobs[number : number + 100])
        await until_done(queue, JOBS, 120)
    assert await queue.stats(QUEUE) == QueueStats(ready=0, delayed=0, running=0, dead=0, paused=False)
    diary = [line.split() for line in (tmp_path / "diary").read_text().splitlines()]
    silenced = [(float(words[0]), words[2]) for words in diary if words[1] == "silenced"]
    assert len(silenced) >= 8

    # Nothing is lost, and what is kept is what one worker was told to be kept.
    acknowledged = Counter(words[3] for words in diary if words[1] == "acknowledged")
    told = {words[3]: words[4] for words in diary if words[1] == "acknowledged"}
    assert max(acknowledged.values()) == 1
    for number in range(0, JOBS, 100):
        for job in await asyncio.gather(*(queue.get_job(QUEUE, f"job{number + one}") for one in range(100))):
            assert job is not None
            assert job.status is JobStatus.COMPLETED
            assert job.result == told.get(job.job_id, job.result)
    assert JOBS - len(told) <= len(silenced) * CONCURRENCY, "killed between the acknowledgement and its line here"

    # A job ran again where its worker was silenced, and then soon.
    began: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for words in diary:
        if words[1] == "began":
            began[words[3]].append((float(words[0]), words[2]))
    assert len(began) == JOBS
    pauses, unexplained = [], 0
    for runs in began.values():
        for (begun, worker), (again, _) in pairwise(runs):
            ends = [at for at, who in silenced if who == worker and begun <= at <= again]
            if ends:
                lost = sum(seconds for at, seconds in stalled if max(ends) <= at <= again)
                pauses.append(again - max(ends) - lost)
            unexplained += not ends
    assert pauses
    assert max(pauses) <= BACK_SECONDS, f"stalls: {stalled}"
    assert unexplained <= JOBS / 100, "a machine that stalls for two seconds silences its workers too"


async def test_a_terminated_worker_hands_its_jobs_back(queue: QueueService, tmp_path: Path) -> None:
    held = WORKERS * CONCURRENCY
    await queue.enqueue_many(QUEUE, [NewJob(3600) for _ in range(held)] + [NewJob(0)])
    with workers(tmp_path, 0):
        async with asyncio.timeout(20):
            while (await queue.stats(QUEUE)).running < held:
                await asyncio.sleep(0.05)
    assert await queue.stats(QUEUE) == QueueStats(ready=held + 1, delayed=0, running=0, dead=0, paused=False)
