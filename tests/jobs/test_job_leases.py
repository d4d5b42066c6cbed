"""The lease of a run: kept, lost, taken over, or given back by whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from common.functions import deadline
from common.jobs import JobResult, runs
from common.jobs.models import JobStatus, Returned
from tests.jobs.counting import Counting, row

if TYPE_CHECKING:
    from tests.stack import Stack


async def test_a_run_without_a_live_lease_is_taken_over_and_the_old_one_writes_nothing(stack: Stack) -> None:
    old = await runs.claim("count", "w1", "2026-11")
    assert isinstance(old, runs.Run)
    stack.rows("update job_runs set lease_until = now() - interval '1 second'")
    new = await runs.claim("count", "w1", "2026-11")
    assert isinstance(new, runs.Run)
    assert (old.attempt, new.attempt) == (1, 2)
    for write in (old.renew, lambda: old.save_cursor(1), lambda: old.finish(JobStatus.COMPLETED, {"old": 1})):
        with pytest.raises(runs.LeaseLost):
            await write()
    await new.finish(JobStatus.COMPLETED, {"new": 1})
    answer = await runs.claim("count", "w1", "2026-11")
    assert isinstance(answer, JobResult)
    assert answer.result == {"new": 1}


async def test_a_completed_run_is_run_again_only_by_force(stack: Stack) -> None:
    first = await runs.claim("count", "w1", "2026-11")
    assert isinstance(first, runs.Run)
    await first.finish(JobStatus.COMPLETED, {})
    assert isinstance(await runs.claim("count", "w1", "2026-11"), JobResult)
    again = await runs.claim("count", "w1", "2026-11", force=True)
    assert isinstance(again, runs.Run)
    assert again.attempt == 2


async def test_a_long_run_keeps_its_lease(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(runs, "LEASE_SECONDS", 2)
    asked = asyncio.Event()

    async def longer_than_its_lease() -> Returned:
        await asked.wait()
        return {"counted": 1}

    counting = Counting(longer_than_its_lease)
    running = asyncio.create_task(counting.task())
    await asyncio.sleep(2.5)
    assert (await counting.task()).status == 503
    asked.set()
    assert (await running).status == 200
    assert len(counting.calls) == 1


async def test_whoever_loses_the_lease_is_stopped(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RENEW_SECONDS", 0.05)

    async def forever() -> Returned:
        stack.rows("update job_runs set attempt = attempt + 1")
        await asyncio.sleep(60)
        return None

    counting = Counting(forever)
    assert (await counting.task()).status == 503
    assert (row(stack)["status"], row(stack)["attempt"]) == ("running", 2)


async def test_an_instance_that_is_stopped_gives_its_lease_back(stack: Stack) -> None:
    started = asyncio.Event()

    async def forever() -> Returned:
        started.set()
        await asyncio.sleep(60)
        return None

    counting = Counting(forever)
    running = asyncio.create_task(counting.task())
    await started.wait()
    deadline.shorten_all(0.05)
    assert (await running).status == 503
    assert (row(stack)["status"], row(stack)["lease_until"]) == ("failed", None)


KILLED = """
import asyncio, os, signal
from common.functions import serve
from common.functions.testing import invoke, task_event
from common.jobs import job

@job("count")
async def count_job(workspace_id: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

event = task_event("count", scope="w1", period="2026-11", arguments={"workspace_id": "w"})
asyncio.run(invoke(serve(count_job), event))
"""


async def test_a_killed_process_blocks_its_successor_for_no_longer_than_its_lease(stack: Stack) -> None:
    child = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore", "-c", KILLED],
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert child.returncode == -signal.SIGKILL
    counting = Counting()
    refused = await counting.task()
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) <= runs.LEASE_SECONDS
    stack.rows("update job_runs set lease_until = clock_timestamp()")  # which waiting would bring about as well
    assert (await counting.task(retry_count=1)).json()["retries"] == 1
