"""Orders and payment attempts, in PhonePe's words: amounts in paise, times in epoch milliseconds."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from common import clock

FailMode = Literal["error", "hang", "malformed", "lie"]
"""How the status API misbehaves for an order: a 500, no answer, no JSON, or the truth about somebody else's order."""
FAIL_MODES: tuple[str, ...] = get_args(FailMode)

EXPIRES_AFTER_SECONDS = 1200
_FAILURE = {"errorCode": "INVALID_MPIN", "detailedErrorCode": "ZM"}


@dataclass
class Order:
    """One order.

    Attributes:
        merchant_order_id: the merchant's.
        merchant_id: whose it is.
        amount: paise.
        state: PENDING, COMPLETED, FAILED, or whatever a test wants.
        meta_info: ``udf1`` to ``udf15``.
        expire_at: epoch milliseconds.
        order_id: PhonePe's.
        fail: how the status API misbehaves, None for not at all.
        attempts: to pay it, oldest first.
    """

    merchant_order_id: str
    merchant_id: str
    amount: int
    state: str = "PENDING"
    meta_info: dict[str, str] = field(default_factory=dict)
    expire_at: int = field(default_factory=lambda: now_ms() + EXPIRES_AFTER_SECONDS * 1000)
    order_id: str = field(default_factory=lambda: new_id("OMO"))
    fail: FailMode | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.move(self.state)

    def move(self, state: str) -> None:
        """Change the state; completing or failing takes an attempt to pay."""
        self.state = state
        if state in {"COMPLETED", "FAILED"}:
            self.attempts.append(_attempt(self.amount, state))

    def status(self, *, details: bool = False, error_context: bool = False) -> dict[str, Any]:
        """The answer of the order status API.

        Args:
            details: every attempt, not only the latest.
            error_context: say at length why it failed.
        """
        return {
            "merchantId": self.merchant_id,
            "merchantOrderId": self.merchant_order_id,
            "orderId": self.order_id,
            "state": self.state,
            "amount": self.amount,
            "payableAmount": self.amount,
            "feeAmount": 0,
            "expireAt": self.expire_at,
            **(_FAILURE if self.state == "FAILED" else {}),
            "metaInfo": self.meta_info,
            "paymentDetails": self.attempts if details else self.attempts[-1:],
            **({"errorContext": _error_context()} if error_context and self.state == "FAILED" else {}),
        }


def now_ms() -> int:
    """Epoch milliseconds."""
    return int(time.time() * 1000)


def _attempt(amount: int, state: str) -> dict[str, Any]:
    attempt: dict[str, Any] = {
        "transactionId": new_id("OM"),
        "paymentMode": "UPI_QR",
        "timestamp": now_ms(),
        "amount": amount,
        "payableAmount": amount,
        "feeAmount": 0,
        "state": state,
    }
    if state == "FAILED":
        return attempt | _FAILURE
    paid = {
        "rail": {
            "type": "UPI",
            "utr": f"{secrets.randbelow(10**12):012}",
            "upiTransactionId": f"YBL{secrets.token_hex(16)}",
            "vpa": "12****78@ybl",
        },
        "instrument": {"type": "ACCOUNT", "maskedAccountNumber": "******1234", "accountType": "SAVINGS"},
    }
    return attempt | paid | {"splitInstruments": [{**paid, "amount": amount}]}


def _error_context() -> dict[str, str]:
    return {
        **_FAILURE,
        "source": "CUSTOMER",
        "stage": "AUTHENTICATION",
        "description": "Wrong MPIN was entered",
    }


def new_id(prefix: str) -> str:
    """An id of PhonePe's: OMO for an order, OM for an attempt to pay it, OMR for a refund."""
    return f"{prefix}{clock.now():%y%m%d%H%M%S}{secrets.randbelow(10**10):010}"
