"""PhonePe's order status API: the only place where a payment's amount and state are believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common.errors import InvalidInput, Unavailable

from .client import nonsense, phonepe_client, state_and_amount, text

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN_OF_AN_INSTRUMENT = ("type", "maskedAccountNumber", "maskedCardNumber", "accountType", "brn", "cardNetwork")
"""Copied to our row. A UPI address (``vpa``) names a person and is not."""


@dataclass(frozen=True)
class OrderStatus:
    """What PhonePe says of an order.

    Attributes:
        merchant_order_id: ours; None where PhonePe's answer does not repeat it.
        merchant_id: whose order it is; None where the answer does not say.
        state: COMPLETED, FAILED, PENDING, EXPIRED or something newer.
        amount_paise: the order's.
        transaction_id: PhonePe's id of the payment that went through, empty if none did.
        method: UPI_QR, CARD, NET_BANKING …, empty if unknown.
        instrument: masked.
        failure_code: PhonePe's, empty unless it failed.
    """

    merchant_order_id: str | None
    merchant_id: str | None
    state: str
    amount_paise: int
    transaction_id: str
    method: str
    instrument: Mapping[str, str] = field(default_factory=dict)
    failure_code: str = ""


async def order_status(merchant_order_id: str) -> OrderStatus:
    """Ask for one order.

    Raises:
        Unavailable: PhonePe is down, slow, does not know the order (yet), or answers nonsense.
        Misconfigured: it refuses our credentials.
    """
    answer = await phonepe_client().get(f"/checkout/v2/order/{quote(merchant_order_id, safe='')}/status")
    if answer is None:
        raise Unavailable("PhonePe's status API answered 404")
    try:
        return _read(answer)
    except InvalidInput as error:
        raise nonsense(error) from None


def _read(answer: dict[str, Any]) -> OrderStatus:
    state, amount = state_and_amount(answer)
    details = answer.get("paymentDetails")
    attempts = [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    paid = next((item for item in attempts if item.get("state") == "COMPLETED"), attempts[-1] if attempts else {})
    return OrderStatus(
        merchant_order_id=text(answer.get("merchantOrderId")) or None,
        merchant_id=text(answer.get("merchantId")) or None,
        state=state,
        amount_paise=amount,
        transaction_id=text(paid.get("transactionId")),
        method=text(paid.get("paymentMode"))[:64],
        instrument=_shown(paid),
        failure_code=text(answer.get("errorCode") or paid.get("errorCode")),
    )


def _shown(paid: Mapping[str, Any]) -> dict[str, str]:
    """What may be kept of how it was paid; a split payment's first part stands for it."""
    parts = paid.get("splitInstruments")
    first = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], dict) else {}
    instrument = paid.get("instrument") or first.get("instrument")
    if not isinstance(instrument, dict):
        return {}
    return {key: text(instrument[key]) for key in SHOWN_OF_AN_INSTRUMENT if text(instrument.get(key))}
