"""What a settled order does to our rows: payment, subscription, user, each in the one transaction of its event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from common import clock
from common.database import execute, transaction
from common.events import emit_event
from common.events.types import PaymentCompleted, PaymentFailed, SubscriptionActivated
from common.functions import Retry

from . import ledger, refunds, rows, subscriptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.functions import Delivery

    from .orders import OrderStatus
    from .refund_status import RefundStatus
    from .refunds import Finding


async def complete(
    delivery: Delivery, merchant_order_id: str, order: OrderStatus, waiting: Mapping[str, RefundStatus | None]
) -> list[Finding]:
    """Complete the payment and activate or renew what it bought; nothing where that was done before.

    Refunds that were told before the payment (``waiting``: what PhonePe says of each now, None for one that cannot be
    applied) take their effect in the same transaction, so that a payment refunded in full is never seen active.

    Raises:
        Retry: another refund arrived meanwhile; the next delivery finds it.
        Unavailable: the database cannot do it now, or what was committed could not be published.
    """
    async with transaction():
        if not await ledger.claim(delivery, "applied"):
            return []
        payment = await rows.lock(merchant_order_id)
        if payment.status not in rows.OPEN:  # the same money told by another event, ``pg.order.completed`` say
            await ledger.annotate(delivery, "duplicate", payment.workspace_id)
            return []
        await ledger.annotate(delivery, "applied", payment.workspace_id)
        if not waiting.keys() >= set(await refunds.waiting(payment)):
            raise Retry("a refund of this payment arrived meanwhile", after=1)
        bought = await subscriptions.activate(payment)
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
                "subscription": bought.subscription_id,
                "starts": bought.starts,
                "ends": bought.ends,
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
                subscription_id=bought.subscription_id,
                user_id=payment.user_id,
                plan=payment.plan,
            ),
        )
        return [await refunds.apply_parked(merchant_order_id, refund) for refund in waiting.values() if refund]


async def fail(delivery: Delivery, merchant_order_id: str, order: OrderStatus) -> None:
    """Mark an open payment failed; a completed one stays completed.

    The subscription of a renewal becomes past due if its paid period is over. While it runs, whatever is ordered and
    not paid takes nothing from what is paid; and a failure may be told after another order has renewed the plan.
    """
    async with transaction():
        if not await ledger.claim(delivery, "applied"):
            return
        payment = await rows.lock(merchant_order_id)
        if payment.status not in {"pending", "processing"}:
            await ledger.annotate(delivery, "ignored", payment.workspace_id)
            return
        await ledger.annotate(delivery, "applied", payment.workspace_id)
        await execute(
            "update payments set status = 'failed', failure_code = %s where id = %s and workspace_id = %s",
            (order.failure_code or None, payment.id, payment.workspace_id),
        )
        await execute(
            """
            update subscriptions set status = 'past_due'
            where user_id = %s and plan = %s and status = 'active' and current_period_end <= %s
            """,
            (payment.user_id, payment.plan, clock.now()),
        )
        await emit_event(
            PaymentFailed(
                workspace_id=payment.workspace_id,
                payment_id=payment.id,
                user_id=payment.user_id,
                failure_code=order.failure_code,
            )
        )
