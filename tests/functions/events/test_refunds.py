"""What a confirmed PhonePe refund does to our rows, and what it may not do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from common import clock
from tests.functions.events.ordering import NOON
from tests.functions.events.refunding import TOTAL, alerts, documents, event_row, paid, payment, refund, refunds
from tests.stack import data_of

if TYPE_CHECKING:
    import pytest

    from tests.stack import Stack


async def test_a_full_refund_ends_the_plan_now(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout)
    with clock.frozen(NOON + timedelta(days=3)):
        assert (await issued.tell()).status == 204
    assert payment(stack, checkout) == {"status": "refunded", "refunded_paise": TOTAL}
    state = stack.state(checkout)
    assert (state["plan"], state["subscription_status"], state["subscription_tier"]) == ("free", "cancelled", "free")
    assert state["budget_limit_monthly_micro_usd"] == 1_000_000
    cancelled = stack.rows("select cancelled_at, price_paise, billing_cycle, current_period_end from subscriptions")[0]
    assert cancelled["cancelled_at"] == NOON + timedelta(days=3)
    assert (cancelled["price_paise"], cancelled["billing_cycle"], cancelled["current_period_end"]) == (0, None, None)
    assert event_row(stack, issued.id) == "applied"
    assert refunds(stack) == [
        {"merchant_refund_id": issued.id, "amount_paise": TOTAL, "status": "completed", "failure_code": None}
    ]


async def test_it_is_told_once(stack: Stack) -> None:
    checkout = await paid(stack)
    await (await refund(checkout)).tell()
    refunded, cancelled = await stack.published("payment-refunded"), await stack.published("subscription-cancelled")
    assert [data_of(message) for message in refunded] == [
        {
            "workspace_id": checkout.workspace_id,
            "payment_id": checkout.payment_id,
            "refund_id": str(stack.rows("select id from payment_refunds")[0]["id"]),
            "user_id": checkout.user_id,
            "amount_paise": TOTAL,
        }
    ]
    assert [(data_of(message)["plan"], data_of(message)["user_id"]) for message in cancelled] == [
        ("growth", checkout.user_id)
    ]
    assert stack.state(checkout)["unpublished"] == 0


async def test_a_partial_refund_leaves_the_plan(stack: Stack) -> None:
    checkout = await paid(stack)
    before = stack.state(checkout)
    await (await refund(checkout, 100_000)).tell()
    after = stack.state(checkout)
    assert payment(stack, checkout) == {"status": "partially_refunded", "refunded_paise": 100_000}
    for unchanged in ("plan", "subscription_status", "current_period_end", "subscription_tier"):
        assert after[unchanged] == before[unchanged]
    assert await stack.published("subscription-cancelled") == []
    assert len(await stack.published("payment-refunded")) == 1


async def test_two_partial_refunds_are_the_whole_and_a_third_is_refused(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await paid(stack)
    for amount in (100_001, TOTAL - 100_001):
        await (await refund(checkout, amount)).tell()
    assert payment(stack, checkout) == {"status": "refunded", "refunded_paise": TOTAL}
    assert stack.state(checkout)["plan"] == "free"
    assert alerts(caplog) == []
    once = stack.state(checkout)
    third = await refund(checkout, 1)
    assert (await third.tell()).status == 204
    assert event_row(stack, third.id) == "amount_mismatch"
    assert alerts(caplog) == ["amount_mismatch"]
    assert stack.state(checkout) == once
    assert len(refunds(stack)) == len(documents(stack)["credit_notes"]) == 2


async def test_a_refund_larger_than_the_payment_is_refused_and_may_come_again(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, TOTAL + 1)
    assert (await issued.tell()).status == 204
    assert payment(stack, checkout) == {"status": "completed", "refunded_paise": 0}
    assert refunds(stack) == []
    await issued.change(amount=TOTAL)  # what PhonePe says now; the finding has not burnt the key
    assert (await issued.tell()).status == 204
    assert payment(stack, checkout)["status"] == "refunded"
    assert event_row(stack, issued.id) == "applied"


async def test_accepted_then_completed(stack: Stack) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, 50_000, state="CONFIRMED")
    await issued.tell("pg.refund.accepted")
    assert [(row["status"], row["amount_paise"]) for row in refunds(stack)] == [("pending", 50_000)]
    assert payment(stack, checkout) == {"status": "completed", "refunded_paise": 0}
    assert await stack.published("payment-refunded") == []
    await issued.change(state="COMPLETED")
    await issued.tell()
    assert [row["status"] for row in refunds(stack)] == ["completed"]
    assert payment(stack, checkout)["status"] == "partially_refunded"


async def test_a_failed_refund_only_alerts(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    checkout = await paid(stack)
    once = stack.state(checkout)
    issued = await refund(checkout, state="FAILED")
    assert (await issued.tell("pg.refund.failed", originalMerchantOrderId="")).status == 204
    assert [(row["status"], row["failure_code"]) for row in refunds(stack)] == [("failed", "REFUND_FAILED")]
    assert (stack.state(checkout), alerts(caplog)) == (once, ["refund_failed"])
