"""Which run a tick is, and which task a run is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from common.errors import InvalidInput
from common.jobs.periods import period_of
from common.jobs.tasks import enqueue_job, queue_of


@pytest.mark.parametrize(
    ("schedule", "period"),
    [
        ("30 1 * * *", "2026-11-24"),
        ("0 3 1 * *", "2026-11"),
        ("0 3 1,15 * *", "2026-11-24"),
        ("0 3 1 4 *", "2026-11-24"),
        ("0 5 * * MON", "2026-W48"),
        ("0 5 * * MON-FRI", "2026-11-24"),
        ("5 * * * *", "2026-11-24T01:30"),
        ("*/5 * * * *", "2026-11-24T01:30"),
        ("0 9,18 * * *", "2026-11-24T01:30"),
    ],
)
def test_a_period_is_as_coarse_as_its_schedule(schedule: str, period: str) -> None:
    assert period_of(schedule, datetime(2026, 11, 23, 20, 0, tzinfo=UTC)) == period


def test_an_iso_week_may_lie_in_another_year() -> None:
    assert period_of("0 5 * * MON", datetime(2026, 12, 31, 20, 0, tzinfo=UTC)) == "2026-W53"
    assert period_of("0 5 * * MON", datetime(2027, 1, 3, 20, 0, tzinfo=UTC)) == "2027-W01"


def test_a_queue_is_called_like_its_function() -> None:
    assert queue_of("generate_invoice") == "job-generate-invoice"


@pytest.mark.parametrize(("scope", "period"), [("", "p"), ("s" * 256, "p"), ("s", ""), ("s", "p" * 65)])
async def test_a_key_that_cannot_be_stored_is_not_enqueued(scope: str, period: str) -> None:
    with pytest.raises(InvalidInput):
        await enqueue_job("a", scope=scope, period=period, arguments={})
