"""PhonePe's events: an order or refund is confirmed through the status API, then takes effect once, in one transaction.

::

    notification ──▶ order_events  ──▶ orders (status API)        ──▶ payments ──▶ subscriptions
                 └─▶ refund_events ──▶ refund_status (status API) ──▶ refunds  ──▶ subscriptions, credit note
                 └─▶ anything else is noted and ignored

The status APIs are asked outside of any transaction. Each effect commits together with its event's row (``ledger``)
and the events that tell of it (the outbox).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import InvalidInput
from common.events import outbox
from common.functions import Delivery, Drop, serve, subscribe
from common.webhooks.phonepe import parse_event

from . import ledger, order_events, refund_events

if TYPE_CHECKING:
    from common.webhooks.models import WebhookEvent


@subscribe(
    "webhook-phonepe",
    publishes=[
        "payment-completed",
        "payment-failed",
        "payment-refunded",
        "subscription-activated",
        "subscription-cancelled",
    ],
    secrets=["database-url", "phonepe-client-secret", "upstash-redis-token", "upstash-redis-url"],
    timeout=60,
)
async def on_phonepe_event(delivery: Delivery) -> None:
    """Turn confirmed orders into paid subscriptions and confirmed refunds into credit notes, each exactly once."""
    try:
        event = parse_event(delivery.data)
    except InvalidInput as error:
        raise Drop("malformed", str(error)) from None
    if not await ledger.is_settled(delivery.id):
        await _settle(delivery, event)
    await outbox.drain(delivery.id)  # what a copy of this delivery committed before it died


async def _settle(delivery: Delivery, event: WebhookEvent) -> None:
    if order_events.is_order(event):
        await order_events.settle(delivery, event)
    elif refund_events.is_refund(event):
        await refund_events.settle(delivery, event)
    else:
        await ledger.settle(delivery, "ignored")


main = serve(on_phonepe_event)
