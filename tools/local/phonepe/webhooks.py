"""PhonePe's webhooks: the body, and how it is authenticated in either mode."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.local.environment import WebhookMode
    from tools.local.phonepe.orders import Order
    from tools.local.phonepe.refunds import Refund

COMPLETED, FAILED = "checkout.order.completed", "checkout.order.failed"
_REFUND_STATES = {"accepted": "CONFIRMED", "completed": "COMPLETED", "failed": "FAILED"}


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """The headers' names; those of the HMAC mode are not in PhonePe's public documentation."""

    signature: str = "x-phonepe-checksum-signature"
    key_id: str = "x-phonepe-checksum-key-id"
    authorization: str = "authorization"


def build_order_event(order: Order, *, event: str | None = None, override: Mapping[str, Any] | None = None) -> bytes:
    """The raw body of an order's webhook.

    Args:
        order: what it is about.
        event: the occurrence; by default what the order's state says. The payload's state follows it.
        override: fields of the payload to put in place of the true ones.

    Example:
        >>> json.loads(build_order_event(Order("RF-1", "M1", 353882, "COMPLETED")))["event"]
        'checkout.order.completed'
    """
    event = event or (FAILED if order.state == "FAILED" else COMPLETED)
    states = {"completed": "COMPLETED", "failed": "FAILED"}
    payload = {**order.status(), "currency": "INR", "state": states.get(event.rpartition(".")[2], order.state)}
    return _body(event, {**payload, **(override or {})})


def build_refund_event(
    refund: Refund, *, event: str | None = None, override: Mapping[str, Any] | None = None, wrapped: bool = True
) -> bytes:
    """The raw body of a refund's webhook.

    Args:
        refund: what it is about.
        event: the occurrence; by default what the refund's state says. The payload's state follows it.
        override: fields of the payload to put in place of the true ones.
        wrapped: False for a body that is only the payload, as the reference shows some.

    Example:
        >>> json.loads(build_refund_event(Refund("RR-1", "RF-1", "M1", 100, "COMPLETED")))["event"]
        'pg.refund.completed'
    """
    verbs = {state: verb for verb, state in _REFUND_STATES.items()}
    event = event or f"pg.refund.{verbs.get(refund.state, 'accepted')}"
    payload = {
        "merchantId": refund.merchant_id,
        "merchantRefundId": refund.merchant_refund_id,
        **refund.status(),
        "state": _REFUND_STATES.get(event.rpartition(".")[2], refund.state),
        **(override or {}),
    }
    return _body(event, payload) if wrapped else _compact(payload)


def sign_headers(
    body: bytes,
    mode: WebhookMode,
    secret: str,
    names: HeaderNames = HeaderNames(),
) -> dict[str, str]:
    """The headers that authenticate ``body``.

    Args:
        body: as it will be sent.
        mode: ``hmac`` signs the body, ``basic`` sends a digest of the credentials, which is always the same.
        secret: ``key_id:secret`` or ``username:password``.
        names: of the headers.
    """
    if mode == "basic":
        return {names.authorization: hashlib.sha256(secret.encode()).hexdigest()}
    key_id, _, key = secret.partition(":")
    return {names.key_id: key_id, names.signature: hmac.digest(key.encode(), body, hashlib.sha256).hex()}


def _body(event: str, payload: Mapping[str, Any]) -> bytes:
    kind = event.replace(".", "_").upper()  # deprecated, still sent
    return _compact({"event": event, "type": kind, "payload": payload})


def _compact(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
