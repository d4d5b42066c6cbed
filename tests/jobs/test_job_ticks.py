"""A job by schedule: one run for each period, and no dead letter."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from common.functions import Drop, serve
from common.functions.testing import HttpEvent, invoke, tick_event
from common.jobs import current_run, job
from tests.jobs.counting import row

if TYPE_CHECKING:
    from tests.stack import Stack


async def test_a_tick_runs_once_in_its_period(stack: Stack) -> None:
    periods: list[str] = []

    @job("nightly", schedule="30 1 * * *")
    async def nightly_job() -> None:
        running = current_run()
        assert running is not None
        periods.append(f"{running.scope} {running.period}")

    main = serve(nightly_job)
    due = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)  # half past one in India
    for _ in range(2):
        assert (await invoke(main, tick_event(due))).status == 200
    assert periods == ["platform 2026-11-24"]


async def test_a_tick_has_no_dead_letter_but_its_row_says_why(stack: Stack) -> None:
    @job("nightly", schedule="30 1 * * *")
    async def nightly_job() -> None:
        raise Drop("never")

    assert (await invoke(serve(nightly_job), tick_event())).status == 422
    assert (row(stack)["status"], row(stack)["error"]) == ("failed", "never")
    assert await stack.published("dead-letter") == []


async def test_a_tick_of_no_time_is_refused(stack: Stack) -> None:
    @job("nightly", schedule="30 1 * * *")
    async def nightly_job() -> None: ...

    event = tick_event()
    headers = {**dict(event.headers), "x-cloudscheduler-scheduletime": "half past one"}
    assert (await invoke(serve(nightly_job), HttpEvent(headers=headers))).status == 400
    assert stack.rows("select 1 from job_runs") == []


async def test_a_tick_while_the_last_one_runs_is_skipped(stack: Stack) -> None:
    release = asyncio.Event()

    @job("nightly", schedule="30 1 * * *")
    async def nightly_job() -> None:
        await release.wait()

    main = serve(nightly_job)
    first = asyncio.create_task(invoke(main, tick_event()))
    while not stack.rows("select 1 from job_runs"):
        await asyncio.sleep(0.01)
    second = await invoke(main, tick_event())
    assert (second.status, second.json()["status"]) == (200, "skipped")
    release.set()
    assert (await first).status == 200
