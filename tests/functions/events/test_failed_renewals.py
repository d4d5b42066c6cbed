"""An order that fails or expires: past due is a subscription whose paid period is over, and no other."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from common import clock
from tests.functions.events.ordering import IST, NOON, deliver

if TYPE_CHECKING:
    from tests.stack import Stack
    from tools.sample_data import Checkout

ENDS = datetime(2026, 12, 23, 12, 0, tzinfo=IST)
"""Of the month that is paid at `NOON`."""
LAPSED = ENDS + timedelta(days=1)
FAILED = "checkout.order.failed"


async def subscriber(stack: Stack) -> Checkout:
    """Somebody who paid a month of growth at `NOON`."""
    checkout = await stack.checkout()
    await checkout.pay()
    with clock.frozen(NOON):
        assert (await deliver(checkout)).status == 204
    return checkout


async def abandoned(stack: Stack, paid: Checkout, *, state: str = "FAILED", cycle: str = "monthly") -> Checkout:
    """An order for the same plan that its customer left."""
    checkout = await stack.checkout(again=paid, billing_cycle=cycle)
    await checkout.pay(state=state)
    return checkout


def plan(stack: Stack, checkout: Checkout) -> tuple[str, str, str]:
    state = stack.state(checkout)
    return state["plan"], state["subscription_status"], state["subscription_tier"]


async def test_a_failed_first_payment_leaves_the_free_plan_active(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="FAILED")
    await deliver(checkout, event=FAILED)
    assert plan(stack, checkout) == ("free", "active", "free")


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED"])
@pytest.mark.parametrize(("cycle", "total"), [("monthly", 353_882), ("annual", 3_538_820)])
async def test_an_abandoned_checkout_does_not_touch_a_period_that_is_paid(
    stack: Stack, state: str, cycle: str, total: int
) -> None:
    paid = await subscriber(stack)
    before = stack.rows("select * from subscriptions where user_id = %s", paid.user_id)
    left = await abandoned(stack, paid, state=state, cycle=cycle)
    with clock.frozen(ENDS - timedelta(seconds=1)):
        assert (await deliver(left, event=FAILED, amount=total)).status == 204
        assert (await deliver(left, event=FAILED, amount=total)).status == 204
    assert stack.state(left)["status"] == "failed"
    assert stack.rows("select * from subscriptions where user_id = %s", paid.user_id) == before


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=1)])
async def test_a_renewal_that_fails_when_the_paid_period_is_over_is_past_due(stack: Stack, late: timedelta) -> None:
    paid = await subscriber(stack)
    left = await abandoned(stack, paid)
    with clock.frozen(ENDS + late):
        await deliver(left, event=FAILED)
    assert plan(stack, left) == ("growth", "past_due", "growth")


async def test_another_plan_s_checkout_fails_without_effect(stack: Stack) -> None:
    paid = await subscriber(stack)
    left = await stack.checkout(again=paid, plan="enterprise")
    await left.pay(state="FAILED")
    with clock.frozen(LAPSED):
        await deliver(left, event=FAILED, amount=1_179_882)
    assert plan(stack, left) == ("growth", "active", "growth")


async def test_a_failure_told_after_the_renewal_that_worked_changes_nothing(stack: Stack) -> None:
    paid = await subscriber(stack)
    left = await abandoned(stack, paid)
    renewal = await stack.checkout(again=paid)
    await renewal.pay()
    with clock.frozen(LAPSED):
        await deliver(renewal)
        await deliver(left, event=FAILED)
    assert plan(stack, left) == ("growth", "active", "growth")


async def test_a_renewal_that_works_after_one_that_failed_ends_past_due_for_good(stack: Stack) -> None:
    paid = await subscriber(stack)
    left = await abandoned(stack, paid)
    renewal = await stack.checkout(again=paid)
    await renewal.pay()
    with clock.frozen(LAPSED):
        await deliver(left, event=FAILED)
        await deliver(renewal)
        await deliver(left, event=FAILED)
    assert plan(stack, left) == ("growth", "active", "growth")
    assert stack.state(left)["status"] == "failed"


async def test_an_order_that_failed_and_then_worked_is_paid_in_either_order(stack: Stack) -> None:
    paid = await subscriber(stack)
    order = await stack.checkout(again=paid)
    with clock.frozen(LAPSED):
        await order.pay(state="FAILED")
        await deliver(order, event=FAILED)
        await order.pay()
        await deliver(order)
        assert plan(stack, order) == ("growth", "active", "growth")
        assert (await deliver(order, event=FAILED)).status == 204
    assert plan(stack, order) == ("growth", "active", "growth")
    assert stack.state(order)["status"] == "completed"


async def test_failures_racing_with_the_renewal_leave_it_active(stack: Stack) -> None:
    paid = await subscriber(stack)
    left = [await abandoned(stack, paid) for _ in range(4)]
    renewal = await stack.checkout(again=paid)
    await renewal.pay()
    with clock.frozen(LAPSED):
        results = await asyncio.gather(
            *(deliver(checkout, event=FAILED) for checkout in left[:2]),
            deliver(renewal),
            *(deliver(checkout, event=FAILED) for checkout in left[2:]),
        )
    assert {result.status for result in results} == {204}
    assert plan(stack, renewal) == ("growth", "active", "growth")
    assert {stack.state(checkout)["status"] for checkout in left} == {"failed"}
