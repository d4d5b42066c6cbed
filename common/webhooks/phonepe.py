"""PhonePe's v2 webhooks: reading what they say.

Facts (PhonePe's Standard Checkout reference and its SDK sources): ``event`` names the occurrence and the deprecated
``type`` does not; ``payload.state`` is the state; amounts are paise; times are epoch milliseconds; some refunds come
without the ``event``/``payload`` wrapper; new fields and types appear without notice.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

from common import clock
from common.functions.jsonbody import parse_object
from common.webhooks.models import WebhookEvent

SOURCE = "phonepe"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_IDENTIFIERS = ("merchantRefundId", "merchantOrderId", "merchantSubscriptionId")


def parse_event(body: bytes) -> WebhookEvent:
    """Read a webhook's raw body.

    The event's id is ``phonepe/<event>/<merchant's id>/<state>``; a body without these gets a digest instead, so
    that nothing verified is ever refused for its shape.

    Raises:
        InvalidInput: the body is not a JSON object.
    """
    document = parse_object(body)
    wrapped = document.get("payload")
    payload: dict[str, Any] = wrapped if isinstance(wrapped, dict) else document
    event_type = _plain(document.get("event"))
    subject = next((name for key in _IDENTIFIERS if (name := _plain(payload.get(key)))), "")
    state = _plain(payload.get("state"))
    known = event_type and subject and state
    digest = "" if known else hashlib.sha256(body).hexdigest()
    return WebhookEvent(
        event_id=f"{SOURCE}/{event_type}/{subject}/{state}" if known else f"{SOURCE}/unnamed/{digest}",
        event_type=event_type or "unnamed",
        payload=payload,
        timestamp=_milliseconds(payload.get("timestamp")) or clock.now(),
        source=SOURCE,
        subject=subject,
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else ""


def _milliseconds(value: Any) -> datetime | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
