"""Orders for tests: their notifications, told to the function the way Pub/Sub tells them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from common.events.message import message_attributes
from common.functions.testing import HttpEvent, Result, invoke, pubsub_event
from common.webhooks.phonepe import parse_event
from functions.events.on_phonepe_event.main import main

if TYPE_CHECKING:
    from tests.stack import Stack
    from tools.sample_data import Checkout

IST = ZoneInfo("Asia/Kolkata")
TRACE = "0af7651916cd43dd8448eb211c80319c"
"""Of the webhook's request."""
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=IST)


def body(checkout: Checkout, *, event: str = "checkout.order.completed", **changes: Any) -> bytes:
    payload = {
        "merchantId": changes.pop("merchantId", None),
        "merchantOrderId": checkout.merchant_order_id,
        "orderId": "OMO1",
        "state": "COMPLETED" if "completed" in event else "FAILED",
        "amount": 353_882,
        **changes,
    }
    return json.dumps({"event": event, "payload": {k: v for k, v in payload.items() if v is not None}}).encode()


def push(data: bytes) -> HttpEvent:
    event = parse_event(data)
    attributes = message_attributes(
        id=event.event_id,
        source="//raptorflow/webhooks/phonepe/phonepe",
        type="raptorflow.webhook.phonepe.v1",
        time=event.timestamp,
        subject=event.subject,
        traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
    )
    return pubsub_event(data, attributes)


async def deliver(checkout: Checkout, **changes: Any) -> Result:
    return await invoke(main, push(body(checkout, **changes)))


def event_status(stack: Stack, key: str | None = None) -> str | None:
    rows = stack.rows("select dedupe_key, status from webhook_events order by received_at")
    return next((row["status"] for row in rows if key is None or key in row["dedupe_key"]), None)
