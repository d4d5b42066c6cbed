"""Invented, contradicted and unconfirmed refunds: only the status API is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.functions.events.ordering import deliver
from tests.functions.events.refunding import TOTAL, Issued, alerts, event_row, paid, payment, refund, refunds

if TYPE_CHECKING:
    from tests.stack import Stack


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
