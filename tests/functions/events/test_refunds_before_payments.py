"""Refunds that are told before their payment wait, and take their effect with it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.functions.events.ordering import deliver
from tests.functions.events.refunding import TOTAL, alerts, documents, event_row, payment, refund, refunds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.functions.testing import Result
    from tests.stack import Stack


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
