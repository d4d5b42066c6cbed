"""Workers in processes of their own, killed and frozen: ``python -m tests.redis.queue_killer FOLDER SECONDS``.

For so many seconds one of them is killed and replaced every now and then, or stopped for longer than its leases; then
they are left alone, until SIGTERM ends them all the way it ends an instance. What they do is written down line by line,
each line by one write: nothing is lost by a kill.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from common.redis import worker as settings
from common.redis.queue_config import QUEUES, QueueSettings
from common.redis.queue_models import Job, JobStatus
from common.redis.worker import QueueWorker

QUEUE = "killed"
SETTINGS = QueueSettings(lease=2, max_attempts=1000, max_length=10_000)
WORKERS = 4
CONCURRENCY = 8
PAUSE_SECONDS = (0.2, 0.6)
FROZEN_SECONDS = 2.5


class Diary:
    """What happened, in the order in which it did."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "diary", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, (time.monotonic(), *words))) + "\n").encode())


class Witness(QueueWorker):
    """A worker that writes down what Redis has confirmed."""

    def __init__(self, diary: Diary) -> None:
        super().__init__(QUEUE, self.handle, concurrency=CONCURRENCY)
        self.diary = diary

    async def handle(self, job: Job) -> str:
        run = f"{os.getpid()}/{job.attempt}"
        self.diary.write("began", os.getpid(), job.job_id)
        await asyncio.sleep(job.data)
        self.diary.write("effect", os.getpid(), job.job_id)
        return run

    async def process_job(self, job: Job) -> Job:
        done = await super().process_job(job)
        if done.status is JobStatus.COMPLETED:
            self.diary.write("acknowledged", os.getpid(), job.job_id, done.result)
        return done


async def work(diary: Diary) -> None:
    worker = Witness(diary)
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []
    loop.add_signal_handler(signal.SIGTERM, lambda: stopping.append(loop.create_task(worker.stop())))
    await worker.start()


def fork(diary: Diary) -> int:
    """A process that was not loaded anew, so that it lives as long as it can before it is killed."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(work(diary))
    os._exit(0)


def resume(frozen: dict[int, float], now: float) -> None:
    """Let go on who was frozen for long enough."""
    for worker in [one for one, until in frozen.items() if until <= now]:
        del frozen[worker]
        os.kill(worker, signal.SIGCONT)


def main(folder: Path, seconds: float) -> NoReturn:
    QUEUES[QUEUE] = SETTINGS
    settings.STOP_SECONDS = 1.0
    diary = Diary(folder)
    ended: list[int] = []
    chance = random.Random(seconds)  # noqa: S311 - keeps no secret
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    workers = [fork(diary) for _ in range(WORKERS)]
    frozen: dict[int, float] = {}
    until = time.monotonic() + seconds
    while not ended:
        time.sleep(chance.uniform(*PAUSE_SECONDS))
        now = time.monotonic()
        resume(frozen, now)
        victim = chance.choice(workers)
        if now > until or victim in frozen:
            continue
        if chance.random() < 0.25:
            os.kill(victim, signal.SIGSTOP)
            frozen[victim] = now + FROZEN_SECONDS
        else:
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            workers[workers.index(victim)] = fork(diary)
        diary.write("silenced", victim)
    resume(frozen, float("inf"))
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    codes = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
    sys.exit(max(map(abs, codes)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
