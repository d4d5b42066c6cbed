"""A job under its ledger: once for each scope and period, however often it is delivered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from common.functions.testing import HttpEvent, bearer, invoke, task_event, tick_event
from common.jobs import runs
from tests.jobs.counting import Counting, row

if TYPE_CHECKING:
    from common.jobs.models import Returned
    from tests.stack import Stack


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


async def test_called_directly_it_does_the_same_without_a_ledger(stack: Stack) -> None:
    counting = Counting()
    assert await counting.direct("w1") == {"counted": 1}
    assert stack.rows("select 1 from job_runs") == []
