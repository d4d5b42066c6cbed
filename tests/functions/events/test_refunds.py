"""What a confirmed, repeated, early, excessive or invented PhonePe refund does to our rows."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from common import clock
from tests.functions.events.ordering import IST, NOON, deliver
from tests.functions.events.refunding import (
    TOTAL,
    Issued,
    documents,
    event_row,
    paid,
    payment,
    refund,
    refunds,
)
from tests.stack import data_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.functions.testing import Result
    from tests.stack import Stack

HEADS = ("taxable_paise", "cgst_paise", "sgst_paise", "igst_paise", "round_off_paise", "total_paise")


def alerts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [fields["alert"] for record in caplog.records if "alert" in (fields := vars(record).get("fields", {}))]


# --- the path


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


# --- again, at once, late


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


# --- doubt


async def test_only_the_status_api_is_believed(stack: Stack) -> None:
    mine, bystander = await paid(stack), await paid(stack)
    issued = await refund(mine, 100_000)
    lie: dict[str, Any] = {
        "amount": TOTAL,
        "originalMerchantOrderId": bystander.merchant_order_id,
        "merchantId": "SOMEBODY",
    }
    assert (await issued.tell(**lie)).status == 204
    assert payment(stack, mine) == {"status": "partially_refunded", "refunded_paise": 100_000}
    assert payment(stack, bystander) == {"status": "completed", "refunded_paise": 0}


@pytest.mark.parametrize("state", ["PENDING", "CONFIRMED", "FAILED", "SOMETHING_NEW"])
async def test_a_completion_that_the_status_api_denies_changes_nothing_and_comes_again(
    stack: Stack, state: str
) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout, state=state)
    assert (await issued.tell()).status == 503
    assert (refunds(stack), event_row(stack, issued.id)) == ([], None)
    await issued.change(state="COMPLETED")
    assert (await issued.tell()).status == 204
    assert payment(stack, checkout)["status"] == "refunded"


@pytest.mark.parametrize("mode", ["error", "malformed"])
async def test_a_broken_status_api_burns_nothing(stack: Stack, mode: str) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout)
    await issued.change(fail=mode)
    assert (await issued.tell()).status == 503
    assert (refunds(stack), event_row(stack, issued.id)) == ([], None)
    await issued.change(fail=None)
    assert (await issued.tell()).status == 204
    assert payment(stack, checkout)["status"] == "refunded"


async def test_an_answer_about_somebody_else_is_dropped_with_an_alert(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await paid(stack)
    issued = await refund(checkout)
    await issued.change(fail="lie")
    assert (await issued.tell()).status == 204
    assert (alerts(caplog), refunds(stack)) == (["merchant_mismatch"], [])
    letters = await stack.published("dead-letter")
    assert [letter.attributes["dead-letter-reason"] for letter in letters] == ["merchant_mismatch"]


async def test_a_refund_that_moves_to_another_order_is_dropped(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    first, second = await paid(stack), await paid(stack)
    issued = await refund(first, state="CONFIRMED")
    await issued.tell("pg.refund.accepted")
    await issued.change(state="COMPLETED", originalMerchantOrderId=second.merchant_order_id)
    assert (await issued.tell()).status == 204
    assert alerts(caplog) == ["refund_mismatch"]
    assert payment(stack, first) == payment(stack, second) == {"status": "completed", "refunded_paise": 0}


async def test_a_refund_that_nobody_knows_is_recorded_and_alerted(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await paid(stack)
    invented = Issued("RR-invented", checkout.merchant_order_id)
    assert (await invented.tell()).status == 204
    issued = await refund(checkout)
    await issued.change(originalMerchantOrderId="RF-not-ours")
    assert (await issued.tell()).status == 204
    assert [event_row(stack, each.id) for each in (invented, issued)] == ["unknown_order", "unknown_order"]
    assert alerts(caplog) == ["unknown_refund", "unknown_order"]
    await issued.change(originalMerchantOrderId=checkout.merchant_order_id)
    await issued.tell()
    assert payment(stack, checkout)["status"] == "refunded"


async def test_a_notification_that_names_no_refund_becomes_a_dead_letter(stack: Stack) -> None:
    checkout = await paid(stack)
    assert (await deliver(checkout, event="pg.refund.completed")).status == 204
    letters = await stack.published("dead-letter")
    assert [letter.attributes["dead-letter-reason"] for letter in letters] == ["malformed"]


async def test_what_was_committed_but_not_published_is_published_by_the_redelivery(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.lifecycle import aclose_all

    checkout = await paid(stack)
    issued = await refund(checkout)
    await aclose_all()
    with monkeypatch.context() as broken:
        broken.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
        assert (await issued.tell()).status == 503
        await aclose_all()
    assert stack.state(checkout)["unpublished"] == 2
    assert (await issued.tell()).status == 204
    assert stack.state(checkout)["unpublished"] == 0
    assert len(await stack.published("payment-refunded")) == 1


# --- before the payment


async def test_a_refund_told_before_its_payment_takes_effect_with_it(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    issued = await refund(checkout)
    assert (await issued.tell()).status == 204
    assert event_row(stack, issued.id) == "parked"
    assert [row["status"] for row in refunds(stack)] == ["pending"]
    assert payment(stack, checkout) == {"status": "pending", "refunded_paise": 0}
    assert (await issued.tell()).status == 204  # parked is final for the delivery
    assert (await deliver(checkout)).status == 204
    assert payment(stack, checkout) == {"status": "refunded", "refunded_paise": TOTAL}
    state = stack.state(checkout)
    assert (state["plan"], state["subscription_status"], state["subscription_tier"]) == ("free", "cancelled", "free")
    assert (event_row(stack, issued.id), [row["status"] for row in refunds(stack)]) == ("applied", ["completed"])
    found = documents(stack)
    assert (len(found["invoices"]), len(found["credit_notes"])) == (1, 1)
    for topic in ("payment-completed", "payment-refunded", "subscription-cancelled"):
        assert len(await stack.published(topic)) == 1


async def test_partial_refunds_told_before_their_payment_add_up(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    issued = [await refund(checkout, 100_000) for _ in range(2)]
    await issued[0].tell(wrapped=False)
    await issued[1].tell()
    await deliver(checkout)
    assert payment(stack, checkout) == {"status": "partially_refunded", "refunded_paise": 200_000}
    assert stack.state(checkout)["plan"] == "growth"
    assert {row["status"] for row in stack.rows("select status from webhook_events")} == {"applied"}
    assert len(documents(stack)["credit_notes"]) == 2


async def test_a_waiting_refund_is_confirmed_again_before_it_counts(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    failed, accepted, excessive = [await refund(checkout, 100_000) for _ in range(3)]
    for issued in (failed, accepted, excessive):
        await issued.tell()
    await failed.change(state="FAILED")
    await accepted.change(state="CONFIRMED")
    await excessive.change(amount=TOTAL + 1)
    await deliver(checkout)
    assert payment(stack, checkout) == {"status": "completed", "refunded_paise": 0}
    assert [row["status"] for row in refunds(stack)] == ["failed", "pending", "pending"]
    assert sorted(alerts(caplog)) == ["amount_mismatch", "refund_failed"]
    assert event_row(stack, excessive.id) == "amount_mismatch"


@pytest.mark.parametrize("mode", ["error", "malformed"])
async def test_a_waiting_refund_that_cannot_be_confirmed_now_holds_the_payment_back(stack: Stack, mode: str) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    issued = await refund(checkout)
    await issued.tell()
    await issued.change(fail=mode)
    assert (await deliver(checkout)).status == 503
    assert payment(stack, checkout)["status"] == "pending"
    await issued.change(fail=None)
    assert (await deliver(checkout)).status == 204
    assert payment(stack, checkout)["status"] == "refunded"


async def test_a_waiting_refund_that_is_somebody_elses_does_not(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    issued = await refund(checkout)
    await issued.tell()
    await issued.change(fail="lie")
    assert (await deliver(checkout)).status == 204
    assert payment(stack, checkout)["status"] == "completed"
    assert alerts(caplog) == ["merchant_mismatch"]


async def test_payment_and_refunds_at_once_lose_nothing(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    issued = [await refund(checkout, amount) for amount in (100_000, 100_000, TOTAL - 200_000)]
    left: list[Callable[[], Awaitable[Result]]] = [partial(deliver, checkout), *(each.tell for each in issued)] * 3
    while left:
        results = await asyncio.gather(*(tell() for tell in left))
        assert {result.status for result in results} <= {204, 503}
        left = [tell for tell, result in zip(left, results, strict=True) if result.status == 503]
    assert payment(stack, checkout) == {"status": "refunded", "refunded_paise": TOTAL}
    assert [row["status"] for row in refunds(stack)] == ["completed"] * 3
    assert stack.state(checkout)["plan"] == "free"
    assert len(documents(stack)["credit_notes"]) == 3
    assert len(await stack.published("payment-refunded")) == 3


# --- which plan it ends


async def test_refunding_a_used_up_period_leaves_the_newer_plan(stack: Stack) -> None:
    old = await paid(stack)
    await paid(stack, again=old, at=datetime(2027, 2, 1, 9, 0, tzinfo=IST))
    before = stack.state(old)
    with clock.frozen(datetime(2027, 2, 3, 9, 0, tzinfo=IST)):
        await (await refund(old)).tell()
    assert payment(stack, old)["status"] == "refunded"
    after = stack.state(old)
    assert (after["plan"], after["current_period_end"]) == ("growth", before["current_period_end"])
    assert await stack.published("subscription-cancelled") == []


async def test_refunding_the_plan_left_by_an_upgrade_leaves_the_upgrade(stack: Stack) -> None:
    old = await paid(stack)
    await paid(stack, again=old, plan="enterprise", total=1_179_882, at=NOON + timedelta(days=5))
    with clock.frozen(NOON + timedelta(days=6)):
        await (await refund(old)).tell()
    assert stack.state(old)["plan"] == stack.state(old)["subscription_tier"] == "enterprise"


async def test_refunding_an_upgrade_brings_back_the_plan_that_is_still_paid(stack: Stack) -> None:
    old = await paid(stack)
    new = await paid(stack, again=old, plan="enterprise", total=1_179_882, at=NOON + timedelta(days=5))
    await stack.published("subscription-activated")
    with clock.frozen(NOON + timedelta(days=6)):
        await (await refund(new, 1_179_882)).tell()
    state = stack.state(old)
    assert (state["plan"], state["subscription_status"], state["subscription_tier"]) == ("growth", "active", "growth")
    assert state["budget_limit_monthly_micro_usd"] == 50_000_000
    assert (state["current_period_start"], state["current_period_end"]) == (NOON, NOON.replace(month=12))
    assert [data_of(message)["plan"] for message in await stack.published("subscription-activated")] == ["growth"]


async def test_refunding_an_upgrade_whose_predecessor_is_used_up_ends_in_free(stack: Stack) -> None:
    old = await paid(stack)
    new = await paid(stack, again=old, plan="enterprise", total=1_179_882, at=NOON + timedelta(days=25))
    with clock.frozen(NOON + timedelta(days=40)):
        await (await refund(new, 1_179_882)).tell()
    assert (stack.state(old)["plan"], stack.state(old)["subscription_status"]) == ("free", "cancelled")


async def test_refunding_a_renewal_in_advance_leaves_the_period_before_it(stack: Stack) -> None:
    old = await paid(stack)
    renewal = await paid(stack, again=old, at=NOON + timedelta(days=20))
    with clock.frozen(NOON + timedelta(days=21)):
        await (await refund(renewal)).tell()
        state = stack.state(old)
        assert (state["plan"], state["subscription_status"]) == ("growth", "active")
        assert (state["current_period_start"], state["current_period_end"]) == (NOON, NOON.replace(month=12))
        await (await refund(old)).tell()
    assert stack.state(old)["plan"] == "free"


async def test_refunding_the_running_period_leaves_the_renewal_in_advance(stack: Stack) -> None:
    old = await paid(stack)
    await paid(stack, again=old, at=NOON + timedelta(days=20))
    with clock.frozen(NOON + timedelta(days=21)):
        await (await refund(old)).tell()
    state = stack.state(old)
    assert (state["plan"], state["current_period_end"]) == ("growth", datetime(2027, 1, 23, 12, 0, tzinfo=IST))


async def test_who_comes_back_after_a_refund_starts_anew(stack: Stack) -> None:
    old = await paid(stack)
    with clock.frozen(NOON + timedelta(days=1)):
        await (await refund(old)).tell()
    again = NOON + timedelta(days=2)
    new = await paid(stack, again=old, at=again)
    state = stack.state(new)
    assert (state["plan"], state["subscription_status"], state["current_period_start"]) == ("growth", "active", again)


# --- credit notes


async def test_credit_notes_are_gapless_and_their_heads_add_up(stack: Stack) -> None:
    checkout = await paid(stack)
    amounts = [513, 100_001, 77_777]
    amounts.append(TOTAL - sum(amounts))
    for amount in amounts:
        await (await refund(checkout, amount)).tell()
    refused = await refund(checkout, 1)
    await refused.tell()
    other = await paid(stack)
    await (await refund(other, 1000)).tell()
    found = documents(stack)
    assert [note["seq"] for note in found["credit_notes"]] == [1, 2, 3, 4, 5]
    assert [note["total_paise"] for note in found["credit_notes"]] == [*amounts, 1000]
    for head in HEADS:
        assert sum(note[head] for note in found["credit_notes"][:4]) == found["invoices"][0][head]


async def test_without_a_billing_profile_the_refund_stands_and_the_note_follows(stack: Stack) -> None:
    from common.billing.documents import issue_documents

    checkout = await stack.checkout()
    stack.rows("delete from billing_profiles")
    await checkout.pay()
    await deliver(checkout)
    assert (await (await refund(checkout)).tell()).status == 204
    assert payment(stack, checkout)["status"] == "refunded"
    assert documents(stack) == {"invoices": [], "credit_notes": []}
    stack.rows(
        "insert into billing_profiles (user_id, legal_name, state_code) values (%s, 'Asha Raman', '33')",
        checkout.user_id,
    )
    issued = await issue_documents(checkout.workspace_id, checkout.payment_id)
    assert [stored.document.kind for stored in issued.documents] == ["invoice", "credit_note"]
