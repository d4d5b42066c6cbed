"""PhonePe's events: an order is confirmed through the status API, then takes effect once, in one transaction."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from common.errors import InvalidInput
from common.events import outbox
from common.functions import Delivery, Drop, Retry, serve, subscribe
from common.webhooks.phonepe import parse_event

from . import ledger, payments
from .orders import OrderStatus, phonepe_orders

if TYPE_CHECKING:
    from common.webhooks.models import WebhookEvent

log = logging.getLogger(__name__)

ORDER_EVENTS = frozenset(
    f"{family}.order.{verb}"
    for family in ("checkout", "pg", "paylink")
    for verb in ("completed", "complete", "failed")  # PhonePe's documents spell one of them "complete"
)
REFUND_EVENTS = frozenset({"pg.refund.accepted", "pg.refund.completed", "pg.refund.failed"})


@subscribe(
    "webhook-phonepe",
    publishes=["payment-completed", "payment-failed", "subscription-activated"],
    secrets=["database-url", "phonepe-client-secret", "upstash-redis-token", "upstash-redis-url"],
    timeout=60,
)
async def on_phonepe_event(delivery: Delivery) -> None:
    """Turn a confirmed PhonePe order into a completed payment and an active subscription, exactly once."""
    try:
        event = parse_event(delivery.data)
    except InvalidInput as error:
        raise Drop("malformed", str(error)) from None
    if await ledger.is_settled(delivery.id):
        await outbox.drain(delivery.id)
    elif event.event_type in ORDER_EVENTS and event.subject:
        await _settle_order(delivery, event)
    elif event.event_type in REFUND_EVENTS:
        await ledger.settle(delivery, "parked")
        log.warning("a refund is parked until refunds are handled", extra={"fields": {"subject": event.subject}})
    else:
        await ledger.settle(delivery, "ignored")


async def _settle_order(delivery: Delivery, event: WebhookEvent) -> None:
    payment = await payments.find(event.subject)
    if payment is None:
        await ledger.settle(delivery, "unknown_order")
        _alert("unknown_order", event)
        return
    _check_merchant(_text(event.payload.get("merchantId")), event)
    if event.payload.get("amount") != payment.total_amount_paise:
        await _mismatch(delivery, event)
        return
    order = await phonepe_orders().status(event.subject)
    _check_merchant(order.merchant_id, event)
    if order.merchant_order_id not in {None, event.subject}:
        raise _drop("order_mismatch", event, "the status API answered for another order")
    if order.amount_paise != payment.total_amount_paise:
        await _mismatch(delivery, event)
        return
    await _apply(delivery, event, order)
    await outbox.drain(delivery.id)  # nothing, unless another copy of this delivery committed first and then died


async def _apply(delivery: Delivery, event: WebhookEvent, order: OrderStatus) -> None:
    match order.state:
        case "COMPLETED":
            await payments.complete(delivery, event.subject, order)
        case "FAILED" | "EXPIRED":
            await payments.fail(delivery, event.subject, order)
        case "PENDING":
            raise Retry("the status API says PENDING")
        case _:
            raise Retry("the status API answered an unknown state")


async def _mismatch(delivery: Delivery, event: WebhookEvent) -> None:
    await ledger.settle(delivery, "amount_mismatch")
    _alert("amount_mismatch", event)


def _check_merchant(merchant_id: str | None, event: WebhookEvent) -> None:
    if merchant_id and merchant_id != os.environ.get("PHONEPE_MERCHANT_ID", ""):
        raise _drop("merchant_mismatch", event, "the order belongs to another merchant")


def _drop(reason: str, event: WebhookEvent, detail: str) -> Drop:
    _alert(reason, event)
    return Drop(reason, detail)


def _alert(reason: str, event: WebhookEvent) -> None:
    """A line that a person is woken by: the alert policies match ``alert``."""
    log.error("PhonePe event not applied: %s", reason, extra={"fields": {"alert": reason, "subject": event.subject}})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


main = serve(on_phonepe_event)
