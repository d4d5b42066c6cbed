"""PhonePe's refund status API: the only place where a refund's amount, state and order are believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from common.errors import InvalidInput

from .client import nonsense, phonepe_client, state_and_amount, text

PROGRESS = {"PENDING": 0, "CONFIRMED": 0, "FAILED": 1, "COMPLETED": 2}
"""How far a refund is; CONFIRMED means accepted. What went back stays back, whatever is told of it later."""


@dataclass(frozen=True)
class RefundStatus:
    """What PhonePe says of a refund.

    Attributes:
        merchant_refund_id: which one; the one asked for where the answer does not repeat it.
        merchant_order_id: whose money goes back; None where the answer does not say, as some documented ones do not.
        merchant_id: whose refund it is; None where the answer does not say.
        state: one of `PROGRESS`, or something newer.
        amount_paise: what goes back.
        phonepe_refund_id: PhonePe's, ``OMR…``; empty if unknown.
        failure_code: PhonePe's, empty unless it failed.
    """

    merchant_refund_id: str
    merchant_order_id: str | None
    merchant_id: str | None
    state: str
    amount_paise: int
    phonepe_refund_id: str
    failure_code: str = ""


async def refund_status(merchant_refund_id: str) -> RefundStatus | None:
    """Ask for one refund; None if PhonePe does not know it.

    Raises:
        Unavailable: PhonePe is down, slow, or answers nonsense.
        Misconfigured: it refuses our credentials.
    """
    answer = await phonepe_client().get(f"/payments/v2/refund/{quote(merchant_refund_id, safe='')}/status")
    if answer is None:
        return None
    try:
        return _read(merchant_refund_id, answer)
    except InvalidInput as error:
        raise nonsense(error) from None


def _read(merchant_refund_id: str, answer: dict[str, Any]) -> RefundStatus:
    state, amount = state_and_amount(answer)
    if amount <= 0:
        raise InvalidInput("a refund of nothing")
    return RefundStatus(
        merchant_refund_id=text(answer.get("merchantRefundId")) or merchant_refund_id,
        merchant_order_id=text(answer.get("originalMerchantOrderId")) or None,
        merchant_id=text(answer.get("merchantId")) or None,
        state=state,
        amount_paise=amount,
        phonepe_refund_id=text(answer.get("refundId")),
        failure_code=text(answer.get("errorCode")) if state == "FAILED" else "",
    )
