"""Our row of a payment, and the locks under which it changes.

Locks are taken in one order everywhere: the event's row, the user, the payment; so two payments of one user, or a
payment and its refund, wait for each other instead of deadlocking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.database import execute, fetch_one

OPEN = frozenset({"pending", "processing", "failed"})
"""What may still complete; a failed attempt may be followed by one that works."""


@dataclass(frozen=True)
class Payment:
    """Our row of a payment."""

    id: str
    workspace_id: str
    user_id: str
    status: str
    total_amount_paise: int
    refunded_paise: int
    plan: str
    billing_cycle: str


async def find(merchant_order_id: str) -> Payment | None:
    """The payment that we gave this order id to."""
    row = await fetch_one(
        """
        select id, workspace_id, user_id, status, total_amount_paise, refunded_paise, plan, billing_cycle
        from payments where phonepe_merchant_transaction_id = %s
        """,
        (merchant_order_id,),
    )
    return _payment(row) if row else None


async def lock(merchant_order_id: str) -> Payment:
    """Lock the user, then the payment, until the bound transaction ends.

    Raises:
        LookupError: the payment was there and is not any more.
    """
    await execute(
        """
        select 1 from users
        where id = (select user_id from payments where phonepe_merchant_transaction_id = %s)
        for update
        """,
        (merchant_order_id,),
    )
    row = await fetch_one(
        """
        select id, workspace_id, user_id, status, total_amount_paise, refunded_paise, plan, billing_cycle
        from payments where phonepe_merchant_transaction_id = %s
        for update
        """,
        (merchant_order_id,),
    )
    if row is None:
        raise LookupError("the payment vanished while PhonePe was being asked")
    return _payment(row)


def _payment(row: dict[str, Any]) -> Payment:
    return Payment(
        id=str(row["id"]),
        workspace_id=str(row["workspace_id"]),
        user_id=str(row["user_id"]),
        status=row["status"],
        total_amount_paise=row["total_amount_paise"],
        refunded_paise=row["refunded_paise"],
        plan=row["plan"],
        billing_cycle=row["billing_cycle"],
    )
