"""R85: the local scheduler fires what Cloud Scheduler fires."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from common.clock import frozen
from common.errors import InvalidInput, Unavailable
from common.functions import serve
from common.functions.testing import invoke, tick_event
from common.jobs import JobScheduler, current_run, job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack

MONDAY_NOON_IST = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.fixture
async def scheduler() -> AsyncIterator[JobScheduler]:
    made = JobScheduler()
    yield made
    await made.stop()


async def _nothing(_: datetime) -> None:
    return None


@pytest.mark.parametrize(
    ("schedule", "expected_ist"),
    [
        ("*/5 * * * *", "2026-11-23T12:05"),
        ("15 2 * * *", "2026-11-24T02:15"),
        ("0 9 * * MON", "2026-11-30T09:00"),
        ("0 9 * * MON-FRI", "2026-11-24T09:00"),
        ("45 4 * * SUN", "2026-11-29T04:45"),
        ("0 3 1 * *", "2026-12-01T03:00"),
    ],
)
async def test_job_registration(scheduler: JobScheduler, schedule: str, expected_ist: str) -> None:
    scheduler.register_job("job", _nothing, schedule)
    with frozen(MONDAY_NOON_IST + timedelta(seconds=1)):
        planned = scheduler.next_run("job")
    assert planned == datetime.fromisoformat(expected_ist).replace(tzinfo=ZoneInfo("Asia/Kolkata"))


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        ("0 9 * * 1", "write weekdays by name"),
        ("0 9 * * 1-5", "write weekdays by name"),
        ("0 9 * *", "five fields, not 4"),
        ("61 9 * * *", "not a schedule"),
        ("0 9 * * FOO", "not a schedule"),
    ],
)
async def test_a_schedule_that_two_schedulers_would_read_differently_is_refused(
    scheduler: JobScheduler, schedule: str, complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        scheduler.register_job("job", _nothing, schedule)


async def test_an_unknown_job_has_no_next_run_and_cannot_be_run(scheduler: JobScheduler) -> None:
    assert scheduler.next_run("nobody") is None
    with pytest.raises(LookupError, match="nobody"):
        await scheduler.run_now("nobody")


async def test_job_execution(scheduler: JobScheduler) -> None:
    called: list[datetime] = []

    async def tick(minute: datetime) -> None:
        called.append(minute)

    scheduler.register_job("job", tick, "*/5 * * * *")
    with frozen(MONDAY_NOON_IST + timedelta(seconds=3)):
        await scheduler.run_now("job")
    assert called == [MONDAY_NOON_IST]


async def test_a_started_scheduler_fires_on_its_own(scheduler: JobScheduler) -> None:
    fired = asyncio.Event()

    async def tick(_: datetime) -> None:
        fired.set()

    scheduler.register_job("job", tick, "* * * * *")
    scheduler.start()
    # Cron knows whole minutes; the test does not wait for one but moves the job's own next time to now.
    scheduler._scheduler.modify_job("job", next_run_time=datetime.now(UTC))  # noqa: TID251 - the scheduler's real clock
    await asyncio.wait_for(fired.wait(), 5)


async def test_a_failing_tick_ends_only_itself(scheduler: JobScheduler, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: datetime) -> None:
        raise RuntimeError("no")

    scheduler.register_job("job", broken, "* * * * *")
    await scheduler.run_now("job")
    assert "tick of job failed" in caplog.text


async def test_retry_on_failure(scheduler: JobScheduler, stack: Stack) -> None:
    """A tick that failed is delivered again, as Cloud Scheduler does, and runs to its end: once."""
    ran: list[int] = []

    @job("nightly", schedule="30 1 * * *", retries=3)
    async def nightly_job() -> dict[str, int]:
        running = current_run()
        assert running is not None
        ran.append(running.attempt)
        if len(ran) < 3:
            raise Unavailable("the database is away")
        return {"attempts": len(ran)}

    answers: list[int] = []

    async def deliver(due: datetime) -> None:
        while not answers or answers[-1] >= 500:
            answers.append((await invoke(main, tick_event(due))).status)

    main = serve(nightly_job)
    scheduler.register_job("job-nightly", deliver, "30 1 * * *")
    await scheduler.run_now("job-nightly")
    assert answers == [503, 503, 200]
    assert ran == [1, 2, 3]
    assert stack.rows("select status, result from job_runs") == [{"status": "completed", "result": {"attempts": 3}}]


async def test_stop_waits_for_the_tick_that_runs() -> None:
    scheduler = JobScheduler()
    entered, leave, ended = asyncio.Event(), asyncio.Event(), []

    async def slow(_: datetime) -> None:
        entered.set()
        await leave.wait()
        ended.append(True)

    scheduler.register_job("job", slow, "* * * * *")
    scheduler.start()
    running = asyncio.create_task(scheduler.run_now("job"))
    await entered.wait()
    stopping = asyncio.create_task(scheduler.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    leave.set()
    await stopping
    await running
    assert ended == [True]
