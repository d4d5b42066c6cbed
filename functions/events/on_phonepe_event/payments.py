"""What a settled order does to our rows: payment, subscription, user, each in the one transaction of its event.

Plan and period come from our own payment row, never from the wire. Locks are taken in one order everywhere: the
event's row, the user, the payment; so two payments of one user wait for each other instead of deadlocking.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import clock
from common.clock import BILLING_TZ
from common.database import execute, fetch_one, transaction
from common.events import emit_event
from common.events.types import PaymentCompleted, PaymentFailed, SubscriptionActivated

from . import ledger

if TYPE_CHECKING:
    from common.functions import Delivery

    from .orders import OrderStatus

OPEN = frozenset({"pending", "processing", "failed"})
"""What may still complete; a failed attempt may be followed by one that works."""
CYCLES = {"monthly": "1 month", "annual": "1 year"}


@dataclass(frozen=True)
class Payment:
    """Our row of a payment."""

    id: str
    workspace_id: str
    user_id: str
    status: str
    total_amount_paise: int
    plan: str
    billing_cycle: str


async def find(merchant_order_id: str) -> Payment | None:
    """The payment that we gave this order id to."""
    row = await fetch_one(
        """
        select id, workspace_id, user_id, status, total_amount_paise,
               metadata ->> 'plan' as plan, metadata ->> 'billing_cycle' as billing_cycle
        from payments where phonepe_merchant_transaction_id = %s
        """,
        (merchant_order_id,),
    )
    return _payment(row) if row else None


async def complete(delivery: Delivery, merchant_order_id: str, order: OrderStatus) -> None:
    """Complete the payment and activate or renew what it bought; nothing where that was done before.

    Raises:
        Unavailable: the database cannot do it now, or what was committed could not be published.
    """
    async with transaction():
        payment = await _claim(delivery, merchant_order_id)
        if payment is None:
            return
        if payment.status not in OPEN:  # the same money told by another event, ``pg.order.completed`` say
            await ledger.annotate(delivery, "duplicate", payment.workspace_id)
            return
        subscription_id, starts, ends = await _subscribe(payment)
        await execute(
            """
            update payments
            set status = 'completed', completed_at = %(now)s, subscription_id = %(subscription)s,
                period_start = %(starts)s, period_end = %(ends)s, failure_code = null,
                phonepe_transaction_id = %(transaction)s, payment_method = %(method)s,
                payment_instrument = %(instrument)s::jsonb
            where id = %(id)s and workspace_id = %(workspace)s
            """,
            {
                "now": clock.now(),
                "subscription": subscription_id,
                "starts": starts,
                "ends": ends,
                "transaction": order.transaction_id or None,
                "method": order.method or None,
                "instrument": json.dumps(dict(order.instrument)),
                "id": payment.id,
                "workspace": payment.workspace_id,
            },
        )
        await emit_event(
            PaymentCompleted(
                workspace_id=payment.workspace_id,
                payment_id=payment.id,
                user_id=payment.user_id,
                total_amount_paise=payment.total_amount_paise,
            ),
            SubscriptionActivated(
                workspace_id=payment.workspace_id,
                subscription_id=subscription_id,
                user_id=payment.user_id,
                plan=payment.plan,
            ),
        )


async def fail(delivery: Delivery, merchant_order_id: str, order: OrderStatus) -> None:
    """Mark an open payment failed; a renewal's subscription becomes past due. A completed payment stays completed."""
    async with transaction():
        payment = await _claim(delivery, merchant_order_id)
        if payment is None:
            return
        if payment.status not in {"pending", "processing"}:
            await ledger.annotate(delivery, "ignored", payment.workspace_id)
            return
        await execute(
            "update payments set status = 'failed', failure_code = %s where id = %s and workspace_id = %s",
            (order.failure_code or None, payment.id, payment.workspace_id),
        )
        await execute(
            "update subscriptions set status = 'past_due' where user_id = %s and plan = %s and status = 'active'",
            (payment.user_id, payment.plan),
        )
        await emit_event(
            PaymentFailed(
                workspace_id=payment.workspace_id,
                payment_id=payment.id,
                user_id=payment.user_id,
                failure_code=order.failure_code,
            )
        )


async def _claim(delivery: Delivery, merchant_order_id: str) -> Payment | None:
    """Take the event, then lock the user and the payment; None where another delivery of the event came first."""
    if not await ledger.claim(delivery, "applied"):
        return None
    await execute(
        """
        select 1 from users
        where id = (select user_id from payments where phonepe_merchant_transaction_id = %s)
        for update
        """,
        (merchant_order_id,),
    )
    row = await fetch_one(
        """
        select id, workspace_id, user_id, status, total_amount_paise,
               metadata ->> 'plan' as plan, metadata ->> 'billing_cycle' as billing_cycle
        from payments where phonepe_merchant_transaction_id = %s
        for update
        """,
        (merchant_order_id,),
    )
    if row is None:
        raise LookupError("the payment vanished while its order was being confirmed")
    payment = _payment(row)
    await ledger.annotate(delivery, "applied", payment.workspace_id)
    return payment


async def _subscribe(payment: Payment) -> tuple[str, Any, Any]:
    """Activate, renew or change the user's subscription; its id and the period that this payment bought.

    The same plan runs on from the end of what is already paid, so that paying early loses no day; another plan starts
    now. A period is a calendar month or year in the billing time zone, clipped to the month's last day by Postgres'
    own arithmetic: 31 January + 1 month = 28 February.
    """
    row = await fetch_one(
        """
        with paid as (
            select case when plan = %(plan)s and current_period_end > %(now)s then current_period_end end as until
            from subscriptions where user_id = %(user)s
        ), period as (
            select coalesce((select until from paid), %(now)s) as starts
        ), bought as (
            select starts, ((starts at time zone %(zone)s) + %(length)s::interval) at time zone %(zone)s as ends
            from period
        ), activated as (
            insert into subscriptions as s
                (user_id, plan, status, price_paise, billing_cycle, current_period_start, current_period_end)
            select %(user)s, p.plan, 'active',
                   case %(cycle)s when 'annual' then p.annual_price_paise else p.monthly_price_paise end,
                   %(cycle)s, b.starts, b.ends
            from plans p, bought b where p.plan = %(plan)s
            on conflict (user_id) do update
            set plan = excluded.plan, status = 'active', price_paise = excluded.price_paise,
                billing_cycle = excluded.billing_cycle, current_period_end = excluded.current_period_end,
                current_period_start = case when excluded.current_period_start > %(now)s
                                            then s.current_period_start else excluded.current_period_start end,
                cancelled_at = null, trial_end = null
            returning id
        ), upgraded as (
            update users u
            set subscription_tier = p.plan, budget_limit_monthly_micro_usd = p.ai_budget_micro_usd
            from plans p where p.plan = %(plan)s and u.id = %(user)s
            returning u.id
        )
        select activated.id, bought.starts, bought.ends from activated, bought, upgraded
        """,
        {
            "plan": payment.plan,
            "cycle": payment.billing_cycle,
            "length": CYCLES[payment.billing_cycle],
            "user": payment.user_id,
            "now": clock.now(),
            "zone": BILLING_TZ,
        },
    )
    if row is None:
        raise LookupError("the plan or the user of a payment does not exist")
    return str(row["id"]), row["starts"], row["ends"]


def _payment(row: dict[str, Any]) -> Payment:
    return Payment(
        id=str(row["id"]),
        workspace_id=str(row["workspace_id"]),
        user_id=str(row["user_id"]),
        status=row["status"],
        total_amount_paise=row["total_amount_paise"],
        plan=row["plan"],
        billing_cycle=row["billing_cycle"],
    )
