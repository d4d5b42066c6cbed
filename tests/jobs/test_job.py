"""A job under its ledger: once for each scope and period, whoever dies, however often it is delivered."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import Unavailable
from common.functions import Drop, Retry, deadline, serve
from common.functions.testing import HttpEvent, Result, bearer, invoke, task_event, tick_event
from common.jobs import JobResult, Partial, Skipped, current_run, job, runs
from common.jobs.models import JobStatus, Returned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack import Stack


class Counting:
    """A job that does what a test gives it, and counts."""

    def __init__(self, *work: Any, retries: int = 3, timeout: int = 60) -> None:
        self.calls: list[Mapping[str, Any]] = []
        self._work = list(work)

        @job("count", retries=retries, timeout=timeout)
        async def count_job(workspace_id: str, amount: int = 1, note: str | None = None) -> Returned:
            self.calls.append({"workspace_id": workspace_id, "amount": amount, "note": note})
            does = self._work[min(len(self.calls), len(self._work)) - 1] if self._work else {"counted": 1}
            if isinstance(does, BaseException):
                raise does
            result: Returned = await does() if callable(does) else does
            return result

        self.direct, self.main = count_job, serve(count_job)

    async def task(
        self, *, retry_count: int = 0, scope: str = "w1", period: str = "2026-11", **arguments: Any
    ) -> Result:
        return await invoke(
            self.main,
            task_event(
                "count",
                scope=scope,
                period=period,
                arguments={"workspace_id": "w1", **arguments},
                retry_count=retry_count,
                name="task-1",
            ),
        )


def row(stack: Stack) -> dict[str, Any]:
    (found,) = stack.rows("select * from job_runs")
    return found


async def test_a_task_runs_once_and_every_further_one_is_answered_with_its_result(stack: Stack) -> None:
    counting = Counting()
    first, second = await counting.task(), await counting.task()
    assert first.json() | {"started_at": "", "completed_at": ""} == {
        "job_id": "count/w1/2026-11",
        "status": "completed",
        "result": {"counted": 1},
        "error": "",
        "started_at": "",
        "completed_at": "",
        "retries": 0,
    }
    assert (second.status, second.json()["already_done"], second.json()["result"]) == (200, True, {"counted": 1})
    assert len(counting.calls) == 1
    assert (row(stack)["status"], row(stack)["attempt"], row(stack)["lease_until"]) == ("completed", 1, None)


async def test_twenty_at_once_run_once(stack: Stack) -> None:
    release = asyncio.Event()

    async def slow() -> Returned:
        await release.wait()
        return {"counted": 1}

    counting = Counting(slow)
    running = [asyncio.create_task(counting.task()) for _ in range(20)]
    done, _ = await asyncio.wait(running, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 19:
        done, _ = await asyncio.wait(running, timeout=0.05)
    assert {task.result().status for task in done} == {503}
    assert all(1 <= int(task.result().headers["retry-after"]) <= runs.LEASE_SECONDS for task in done)
    release.set()
    assert sorted(result.status for result in await asyncio.gather(*running)) == [200] + [503] * 19
    assert len(counting.calls) == 1


async def test_other_scopes_and_periods_are_other_runs(stack: Stack) -> None:
    counting = Counting()
    for scope, period in (("w1", "2026-11"), ("w2", "2026-11"), ("w1", "2026-12")):
        assert (await counting.task(scope=scope, period=period)).status == 200
    assert len(counting.calls) == 3


async def test_arguments_are_what_the_function_takes(stack: Stack) -> None:
    counting = Counting()
    await counting.task(amount=7, note="n")
    assert counting.calls == [{"workspace_id": "w1", "amount": 7, "note": "n"}]


@pytest.mark.parametrize(
    "arguments", [{"amount": "7"}, {"amount": True}, {"workspace_id": None}, {"other": 1}, {"note": 1}]
)
async def test_a_malformed_task_is_buried_and_runs_nothing(stack: Stack, arguments: dict[str, Any]) -> None:
    counting = Counting()
    assert (await counting.task(**arguments)).status == 204
    assert not counting.calls
    assert stack.rows("select 1 from job_runs") == []
    (letter,) = await stack.published("dead-letter")
    assert letter.attributes["dead-letter-reason"] == "malformed"
    assert letter.attributes["ce-id"] == "job-count/task-1"
    assert letter.attributes["dead-letter-function"] == "job-count"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"scope":"","period":"p","arguments":{}}', b'{"scope":"s"}'])
async def test_a_body_that_is_no_envelope_is_buried(stack: Stack, body: bytes) -> None:
    event = task_event("count", scope="s", period="p", arguments={})
    assert (await invoke(Counting().main, HttpEvent(body=body, headers=event.headers))).status == 204
    (letter,) = await stack.published("dead-letter")
    assert letter.data == body


async def test_what_is_neither_a_task_nor_a_tick_is_refused(stack: Stack) -> None:
    event = HttpEvent(body=b"{}", headers={"authorization": bearer(stack.environment["INVOKER_EMAIL"])})
    assert (await invoke(Counting().main, event)).status == 400
    assert (await invoke(Counting().main, tick_event())).status == 400  # the job has no schedule
    assert (await invoke(Counting().main, HttpEvent(body=b"{}"))).status == 401


async def test_not_now_gives_the_lease_back_and_the_next_attempt_runs(stack: Stack) -> None:
    counting = Counting(Retry("later", after=7), Unavailable("down", retry_after=3), {"counted": 3})
    first, second, third = [await counting.task(retry_count=n) for n in range(3)]
    assert (first.status, first.headers["retry-after"]) == (503, "7")
    assert (second.status, second.headers["retry-after"]) == (503, "3")
    assert (third.status, third.json()["retries"]) == (200, 2)
    assert (row(stack)["status"], row(stack)["attempt"], row(stack)["error"]) == ("completed", 3, None)


async def test_a_defect_is_tried_again_and_its_text_is_kept_nowhere(stack: Stack) -> None:
    counting = Counting(ZeroDivisionError("secret"), {"counted": 1})
    assert (await counting.task()).status == 500
    assert (row(stack)["status"], row(stack)["error"], row(stack)["lease_until"]) == (
        "failed",
        "ZeroDivisionError",
        None,
    )
    assert (await counting.task(retry_count=1)).status == 200


async def test_what_can_never_succeed_is_buried_at_once(stack: Stack) -> None:
    counting = Counting(Drop("gone_workspace"), {"counted": 1})
    assert (await counting.task()).status == 204
    assert (row(stack)["status"], row(stack)["error"]) == ("failed", "gone_workspace")
    (letter,) = await stack.published("dead-letter")
    assert letter.attributes["dead-letter-reason"] == "gone_workspace"
    assert (await counting.task()).status == 200  # replayed by a person, it may run again


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [(Retry("later"), 503, "Retry"), (Unavailable("down"), 503, "Unavailable"), (KeyError("x"), 500, "KeyError")],
)
async def test_the_last_attempt_is_buried_with_its_reason(
    stack: Stack, failure: Exception, status: int, reason: str
) -> None:
    counting = Counting(failure, retries=2)
    for retry_count in range(2):
        assert (await counting.task(retry_count=retry_count)).status == status
    assert await stack.published("dead-letter") == []
    assert (await counting.task(retry_count=2)).status == status
    (letter,) = await stack.published("dead-letter")
    assert letter.attributes["dead-letter-reason"] == reason
    assert letter.attributes["dead-letter-attempts"] == "3"


async def test_a_skipped_run_may_run_again(stack: Stack) -> None:
    counting = Counting(Skipped("blocked_profile", {"payments": 1}), {"counted": 1})
    first = await counting.task()
    assert (first.status, first.json()["status"]) == (200, "skipped")
    assert first.json()["result"] == {"payments": 1, "reason": "blocked_profile"}
    assert (await counting.task()).json()["status"] == "completed"


async def test_a_partial_run_goes_on_where_it_stopped(stack: Stack) -> None:
    async def rest() -> Returned:
        running = current_run()
        assert running is not None
        return {"cursor": running.cursor, "attempt": running.attempt}

    counting = Counting(Partial({"done": 2}, ["c", "d"]), rest)
    assert (await counting.task()).status == 503
    assert (row(stack)["status"], row(stack)["result"]) == ("partial", {"done": 2})
    assert (await counting.task(retry_count=1)).json()["result"] == {"cursor": ["c", "d"], "attempt": 2}


async def test_a_saved_cursor_survives_the_attempt(stack: Stack) -> None:
    async def half() -> Returned:
        running = current_run()
        assert running is not None
        await running.save_cursor({"page": 2})
        raise Unavailable("down")

    async def rest() -> Returned:
        running = current_run()
        assert running is not None
        return {"cursor": running.cursor}

    counting = Counting(half, rest)
    await counting.task()
    assert (await counting.task()).json()["result"] == {"cursor": {"page": 2}}


async def test_the_deadline_ends_the_run_and_gives_the_lease_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever() -> Returned:
        await asyncio.sleep(60)
        return None

    monkeypatch.setattr("common.jobs.decorators.CLOSING_SECONDS", 58.5)
    counting = Counting(forever, {"counted": 1})
    assert (await counting.task()).status == 503
    assert (row(stack)["status"], row(stack)["error"]) == ("failed", "DeadlineExceeded")
    assert (await counting.task(retry_count=1)).status == 200


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
    monkeypatch.setattr(runs, "LEASE_SECONDS", 0.5)

    async def longer_than_its_lease() -> Returned:
        await asyncio.sleep(1.2)
        return {"counted": 1}

    counting = Counting(longer_than_its_lease)
    running = asyncio.create_task(counting.task())
    await asyncio.sleep(0.9)
    assert (await counting.task()).status == 503
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


async def test_called_directly_it_does_the_same_without_a_ledger(stack: Stack) -> None:
    counting = Counting()
    assert await counting.direct("w1") == {"counted": 1}
    assert stack.rows("select 1 from job_runs") == []


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


async def test_a_job_that_returns_something_else_is_a_defect(stack: Stack) -> None:
    assert (await Counting(7).task()).status == 500
    assert (row(stack)["status"], row(stack)["error"]) == ("failed", "TypeError")


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
