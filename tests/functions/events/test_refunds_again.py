"""A refund that is told again, at once, or late counts once, and refunds never exceed the payment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.functions.events.refunding import alerts, documents, event_row, paid, payment, refund, refunds

if TYPE_CHECKING:
    import pytest

    from tests.stack import Stack


async def test_twenty_copies_at_once_are_one_refund(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, 100_000)
    results = await asyncio.gather(*(issued.tell() for _ in range(20)))
    assert {result.status for result in results} <= {204, 503}
    while any(result.status == 503 for result in results):  # Pub/Sub would deliver these again
        results = await asyncio.gather(*(issued.tell() for result in results if result.status == 503))
    assert payment(stack, checkout) == {"status": "partially_refunded", "refunded_paise": 100_000}
    assert (len(refunds(stack)), len(documents(stack)["credit_notes"])) == (1, 1)
    assert len(await stack.published("payment-refunded")) == 1


async def test_different_refunds_at_once_never_exceed_the_payment(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = [await refund(checkout, 100_000) for _ in range(5)]
    results = await asyncio.gather(*(each.tell() for each in issued))
    assert {result.status for result in results} == {204}
    assert payment(stack, checkout) == {"status": "partially_refunded", "refunded_paise": 300_000}
    assert len(documents(stack)["credit_notes"]) == 3
    statuses = [event_row(stack, each.id) for each in issued]
    assert sorted(str(status) for status in statuses) == ["amount_mismatch"] * 2 + ["applied"] * 3


async def test_the_same_refund_told_by_another_event_is_a_duplicate(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, 100_000)
    await issued.tell()
    for event in ("pg.refund.accepted", "pg.refund.failed"):
        assert (await issued.tell(event)).status == 204
        assert event_row(stack, f"{event}/{issued.id}") == "duplicate"
    assert payment(stack, checkout)["refunded_paise"] == 100_000


async def test_a_failure_told_after_completion_is_ignored(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout)
    await issued.tell()
    once = stack.state(checkout)
    await issued.change(state="FAILED")
    assert (await issued.tell("pg.refund.failed")).status == 204
    assert event_row(stack, "pg.refund.failed") == "ignored"
    assert ([row["status"] for row in refunds(stack)], stack.state(checkout)) == (["completed"], once)
    assert alerts(caplog) == []


async def test_a_refund_that_failed_and_went_through_after_all_counts(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, 100_000, state="FAILED")
    await issued.tell("pg.refund.failed")
    await issued.change(state="COMPLETED")
    await issued.tell()
    assert [(row["status"], row["failure_code"]) for row in refunds(stack)] == [("completed", None)]
    assert payment(stack, checkout)["refunded_paise"] == 100_000


async def test_a_body_without_its_wrapper_is_understood(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, 100_000)
    assert (await issued.tell(wrapped=False)).status == 204
    assert payment(stack, checkout)["refunded_paise"] == 100_000
