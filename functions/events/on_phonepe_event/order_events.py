"""An order's notification: confirmed through the status API, then applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.functions import Retry

from . import ledger, payments, refund_events, rows
from .alerts import alert, dropped, is_ours
from .orders import order_status

if TYPE_CHECKING:
    from common.functions import Delivery
    from common.webhooks.models import WebhookEvent

    from .orders import OrderStatus
    from .rows import Payment

CLAIMS = {
    f"{family}.order.{verb}": state
    for family in ("checkout", "pg", "paylink")
    for verb, state in {"completed": "COMPLETED", "complete": "COMPLETED", "failed": "FAILED"}.items()
}
"""What each notification says has happened. PhonePe's documents spell one of them "complete"."""


def is_order(event: WebhookEvent) -> bool:
    """Whether it is about a payment's order."""
    return event.event_type in CLAIMS and bool(event.subject)


async def settle(delivery: Delivery, event: WebhookEvent) -> None:
    """Apply the order as the status API tells it.

    Raises:
        Retry: the status API is behind the notification, or says something that we do not know.
        Drop: it is about another merchant's order.
        Unavailable: PhonePe or the database cannot answer now.
    """
    payment = await rows.find(event.subject)
    if payment is None:
        await ledger.settle(delivery, "unknown_order")
        alert("unknown_order", event.subject)
        return
    _check_merchant(event, event.payload.get("merchantId"))
    if event.payload.get("amount") != payment.total_amount_paise:
        await _mismatch(delivery, event)
        return
    order = await order_status(event.subject)
    _check_merchant(event, order.merchant_id)
    if order.merchant_order_id not in {None, event.subject}:
        raise dropped("order_mismatch", event.subject, "the status API answered for another order")
    if order.amount_paise != payment.total_amount_paise:
        await _mismatch(delivery, event)
        return
    await _apply(delivery, payment, event, order)


async def _apply(delivery: Delivery, payment: Payment, event: WebhookEvent, order: OrderStatus) -> None:
    """Never settle a notification by less than it says: a forged one would burn the true one's key."""
    match order.state:
        case "COMPLETED":
            waiting = await refund_events.confirm_waiting(payment, event.subject)
            for finding in await payments.complete(delivery, event.subject, order, waiting):
                refund_events.report(finding)
        case "FAILED" | "EXPIRED" if CLAIMS[event.event_type] == "FAILED":
            await payments.fail(delivery, event.subject, order)
        case "PENDING" | "FAILED" | "EXPIRED":
            raise Retry(f"the status API says {order.state}")
        case _:
            raise Retry("the status API answered an unknown state")


async def _mismatch(delivery: Delivery, event: WebhookEvent) -> None:
    await ledger.settle(delivery, "amount_mismatch")
    alert("amount_mismatch", event.subject)


def _check_merchant(event: WebhookEvent, merchant_id: object) -> None:
    if not is_ours(merchant_id):
        raise dropped("merchant_mismatch", event.subject, "the order belongs to another merchant")
