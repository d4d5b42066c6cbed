"""Which plan a full refund ends, and which one it leaves or brings back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common import clock
from tests.functions.events.ordering import IST, NOON
from tests.functions.events.refunding import paid, payment, refund
from tests.stack import data_of

if TYPE_CHECKING:
    from tests.stack import Stack


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
