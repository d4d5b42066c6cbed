"""What a payment buys and a full refund takes back: the user's one subscription, tier and budget.

The caller has locked the user. Plan, price and period come from our own rows, never from the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import clock
from common.clock import BILLING_TZ
from common.database import execute, fetch_one
from common.events.types import SubscriptionActivated, SubscriptionCancelled

if TYPE_CHECKING:
    from datetime import datetime

    from common.events.types import Event

    from .rows import Payment

CYCLES = {"monthly": "1 month", "annual": "1 year"}


@dataclass(frozen=True)
class Bought:
    """The subscription, and the period that one payment added to it."""

    subscription_id: str
    starts: datetime
    ends: datetime


async def activate(payment: Payment) -> Bought:
    """Activate, renew or change the user's subscription.

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
    return Bought(str(row["id"]), row["starts"], row["ends"])


async def take_back(payment: Payment) -> list[Event]:
    """What a full refund of ``payment``, already noted in its row, does to the plan; the events that tell of it.

    - The plan rests on the payment if it is the plan that the payment bought, in a period that reaches into the
      subscription's current one. A refund of anything older, or of a plan left since, changes nothing.
    - If it does, the plan becomes what the newest payment bought that is neither refunded in full nor used up, and
      ends with it: refunding a renewal made in advance leaves the period before it, refunding an upgrade brings back
      the plan it replaced.
    - If there is no such payment, the plan is free from now on and the subscription cancelled.

    Days that a refund leaves unpaid before a later period that is paid stay usable.
    """
    row = await fetch_one(
        """
        select s.id as subscription_id, s.plan as plan, n.plan as next_plan, n.id as next_payment_id
        from payments p
        join subscriptions s on s.user_id = p.user_id
        left join lateral (
            select o.id, o.plan from payments o
            where o.user_id = p.user_id and o.id <> p.id and o.status in ('completed', 'partially_refunded')
              and o.period_end > %(now)s
            order by o.completed_at desc, o.period_end desc limit 1
        ) n on true
        where p.id = %(payment)s and p.workspace_id = %(workspace)s
          and s.plan = p.plan and s.current_period_start < p.period_end
        """,
        {"now": clock.now(), "payment": payment.id, "workspace": payment.workspace_id},
    )
    if row is None:
        return []
    if row["next_payment_id"] is None:
        return [await _cancel(payment, row)]
    await _rest_on(payment, row["next_payment_id"])
    if row["next_plan"] == row["plan"]:
        return []
    return [
        SubscriptionActivated(
            workspace_id=payment.workspace_id,
            subscription_id=str(row["subscription_id"]),
            user_id=payment.user_id,
            plan=row["next_plan"],
        )
    ]


async def _cancel(payment: Payment, row: dict[str, Any]) -> SubscriptionCancelled:
    await execute(
        """
        update subscriptions
        set plan = 'free', status = 'cancelled', price_paise = 0, billing_cycle = null, current_period_start = null,
            current_period_end = null, trial_end = null, cancelled_at = %s
        where user_id = %s
        """,
        (clock.now(), payment.user_id),
    )
    await _set_tier(payment.user_id)
    return SubscriptionCancelled(
        workspace_id=payment.workspace_id,
        subscription_id=str(row["subscription_id"]),
        user_id=payment.user_id,
        plan=row["plan"],
    )


async def _rest_on(payment: Payment, next_payment_id: object) -> None:
    await execute(
        """
        update subscriptions s
        set plan = n.plan, billing_cycle = n.billing_cycle,
            price_paise = case n.billing_cycle when 'annual' then p.annual_price_paise else p.monthly_price_paise end,
            status = case when s.plan = n.plan then s.status else 'active' end,
            current_period_start = case when n.period_start > %s then s.current_period_start else n.period_start end,
            current_period_end = n.period_end
        from payments n join plans p on p.plan = n.plan
        where s.user_id = %s and n.id = %s
        """,
        (clock.now(), payment.user_id, next_payment_id),
    )
    await _set_tier(payment.user_id)


async def _set_tier(user_id: str) -> None:
    await execute(
        """
        update users u set subscription_tier = p.plan, budget_limit_monthly_micro_usd = p.ai_budget_micro_usd
        from subscriptions s join plans p on p.plan = s.plan
        where s.user_id = u.id and u.id = %s
        """,
        (user_id,),
    )
