"""Refunds, in PhonePe's words: amounts in paise, times in epoch milliseconds.

Shapes follow the reference's page "Initiate Refund and Check Refund Status". It names no error codes: those are ours.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tools.local.phonepe.checks import MINIMUM_AMOUNT, Refused, bad_request, unknown_order
from tools.local.phonepe.orders import FailMode, new_id, now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.local.phonepe.orders import Order

STATES = ("PENDING", "CONFIRMED", "COMPLETED", "FAILED")
_REFUND_ID = re.compile(r"[A-Za-z0-9_-]{1,63}")
_FAILURE = {"errorCode": "REFUND_FAILED", "detailedErrorCode": "BENEFICIARY_BANK_OFFLINE"}


@dataclass
class Refund:
    """One refund.

    Attributes:
        merchant_refund_id: the merchant's.
        merchant_order_id: whose money goes back.
        merchant_id: whose it is.
        amount: paise.
        state: one of `STATES`, or whatever a test wants.
        refund_id: PhonePe's.
        timestamp: epoch milliseconds.
        utr: the bank's reference of the transfer.
        fail: how the status API misbehaves, None for not at all.
    """

    merchant_refund_id: str
    merchant_order_id: str
    merchant_id: str
    amount: int
    state: str = "PENDING"
    refund_id: str = field(default_factory=lambda: new_id("OMR"))
    timestamp: int = field(default_factory=now_ms)
    utr: str = field(default_factory=lambda: f"{secrets.randbelow(10**12):012}")
    fail: FailMode | None = None

    def status(self) -> dict[str, Any]:
        """The answer of the refund status API; it repeats neither the merchant's nor the refund's id."""
        return {
            "originalMerchantOrderId": self.merchant_order_id,
            "refundId": self.refund_id,
            "amount": self.amount,
            "state": self.state,
            "timestamp": self.timestamp,
            **(_FAILURE if self.state == "FAILED" else {}),
            "paymentDetails": [_detail(self)],
        }


def check_refund(
    asked: Mapping[str, Any], orders: Mapping[str, Order], refunds: Mapping[str, Refund], merchant_id: str
) -> Refund:
    """The refund that the body of ``/payments/v2/refund`` asks for.

    Raises:
        Refused: 400, naming the field; 404 for an unknown order; 417 for an id that is taken, an order that is not
            paid, or more than is left of it. Refunds that may still complete count as much as completed ones.
    """
    refund_id, amount = asked.get("merchantRefundId"), asked.get("amount")
    if not isinstance(refund_id, str) or not _REFUND_ID.fullmatch(refund_id):
        raise bad_request("merchantRefundId: at most 63 letters, digits, _ and -")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < MINIMUM_AMOUNT:
        raise bad_request(f"amount: a whole number of paise, at least {MINIMUM_AMOUNT}")
    order = orders.get(str(asked.get("originalMerchantOrderId")))
    if order is None:
        raise unknown_order()
    if refund_id in refunds:
        raise Refused(417, "INVALID_MERCHANT_REFUND_ID", "A refund with this merchant refund id exists already")
    if order.state != "COMPLETED":
        raise Refused(417, "INVALID_TRANSACTION_STATE", "The order is not completed")
    others = (refund for refund in refunds.values() if refund.merchant_order_id == order.merchant_order_id)
    if amount + sum(refund.amount for refund in others if refund.state != "FAILED") > order.amount:
        raise Refused(417, "INVALID_REFUND_AMOUNT", "The refund amount exceeds what is left of the order")
    return Refund(refund_id, order.merchant_order_id, merchant_id, amount)


def unknown_refund() -> Refused:
    """A refund id that PhonePe does not know."""
    return Refused(404, "INVALID_MERCHANT_REFUND_ID", "No entry found for given merchant refund id")


def _detail(refund: Refund) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "transactionId": refund.refund_id,
        "paymentMode": "UPI_QR",
        "timestamp": refund.timestamp,
        "amount": refund.amount,
        "state": refund.state,
    }
    if refund.state != "COMPLETED":
        return detail | (_FAILURE if refund.state == "FAILED" else {})
    return detail | {
        "rail": {"type": "UPI", "utr": refund.utr, "vpa": "12****78@ybl"},
        "instrument": {"type": "ACCOUNT", "maskedAccountNumber": "******1234", "accountType": "SAVINGS"},
    }
