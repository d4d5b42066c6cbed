"""Attempts of a job that end early: tried again, buried, skipped, or gone on with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from common.errors import Unavailable
from common.functions import Drop, Retry
from common.jobs import Partial, Skipped, current_run
from tests.jobs.counting import Counting, row

if TYPE_CHECKING:
    from common.jobs.models import Returned
    from tests.stack import Stack


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


async def test_a_job_that_returns_something_else_is_a_defect(stack: Stack) -> None:
    assert (await Counting(7).task()).status == 500
    assert (row(stack)["status"], row(stack)["error"]) == ("failed", "TypeError")


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
