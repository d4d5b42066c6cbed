"""Periods, renewals, upgrades: what a confirmed order does to the one subscription of its user."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from common import clock
from tests.functions.events.ordering import IST, NOON, deliver

if TYPE_CHECKING:
    from tests.stack import Stack


@pytest.mark.parametrize(
    ("paid_at", "cycle", "ends_at"),
    [
        (datetime(2027, 1, 31, 12, 0, tzinfo=IST), "monthly", datetime(2027, 2, 28, 12, 0, tzinfo=IST)),
        (datetime(2028, 1, 31, 12, 0, tzinfo=IST), "monthly", datetime(2028, 2, 29, 12, 0, tzinfo=IST)),
        (datetime(2028, 2, 29, 12, 0, tzinfo=IST), "annual", datetime(2029, 2, 28, 12, 0, tzinfo=IST)),
        # 31 January in India is still 30 January in UTC: the billing time zone decides
        (datetime(2027, 1, 31, 1, 0, tzinfo=IST), "monthly", datetime(2027, 2, 28, 1, 0, tzinfo=IST)),
        (datetime(2026, 12, 31, 23, 30, tzinfo=IST), "monthly", datetime(2027, 1, 31, 23, 30, tzinfo=IST)),
    ],
)
async def test_a_period_is_a_calendar_month_or_year_in_india(
    stack: Stack, paid_at: datetime, cycle: str, ends_at: datetime
) -> None:
    checkout = await stack.checkout(billing_cycle=cycle)
    await checkout.pay()
    total = 3_538_820 if cycle == "annual" else 353_882
    with clock.frozen(paid_at):
        await deliver(checkout, amount=total)
    assert stack.state(checkout)["current_period_end"] == ends_at.astimezone(UTC)


async def test_renewing_early_loses_no_day(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay()
    with clock.frozen(NOON):
        await deliver(first)
    second = await stack.checkout(again=first)
    await second.pay()
    with clock.frozen(NOON + timedelta(days=27)):
        await deliver(second)
    state = stack.state(second)
    assert state["current_period_start"] == NOON
    assert state["current_period_end"] == datetime(2027, 1, 23, 12, 0, tzinfo=IST)
    assert state["period_start"] == datetime(2026, 12, 23, 12, 0, tzinfo=IST)


async def test_renewing_late_starts_now(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay()
    with clock.frozen(NOON):
        await deliver(first)
    second = await stack.checkout(again=first)
    await second.pay()
    with clock.frozen(datetime(2027, 2, 1, 9, 0, tzinfo=IST)):
        await deliver(second)
    state = stack.state(second)
    assert state["current_period_start"] == datetime(2027, 2, 1, 9, 0, tzinfo=IST)
    assert state["current_period_end"] == datetime(2027, 3, 1, 9, 0, tzinfo=IST)


async def test_an_upgrade_in_mid_period_starts_now(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay()
    with clock.frozen(NOON):
        await deliver(first)
    second = await stack.checkout(again=first, plan="enterprise")
    await second.pay()
    upgraded_at = NOON + timedelta(days=10)
    with clock.frozen(upgraded_at):
        await deliver(second, amount=1_179_882)
    state = stack.state(second)
    assert (state["plan"], state["subscription_tier"], state["budget_limit_monthly_micro_usd"]) == (
        "enterprise",
        "enterprise",
        200_000_000,
    )
    assert state["current_period_start"] == upgraded_at
    assert state["current_period_end"] == datetime(2027, 1, 3, 12, 0, tzinfo=IST)


async def test_two_payments_of_one_user_at_once_both_count(stack: Stack) -> None:
    first = await stack.checkout()
    second = await stack.checkout(again=first)
    await first.pay()
    await second.pay()
    with clock.frozen(NOON):
        results = await asyncio.gather(deliver(first), deliver(second))
    assert [result.status for result in results] == [204, 204]
    assert stack.state(first)["current_period_end"] == datetime(2027, 1, 23, 12, 0, tzinfo=IST)


async def test_another_workspace_is_never_touched(stack: Stack) -> None:
    bystander, checkout = await stack.checkout(), await stack.checkout()
    before = stack.state(bystander)
    await checkout.pay()
    await deliver(checkout)
    assert stack.state(bystander) == before
