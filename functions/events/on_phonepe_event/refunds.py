"""What a confirmed refund does to our rows: refund, payment, plan and credit note, in one transaction.

::

    payment_refunds   pending ──▶ failed ──▶ completed      forwards only: what went back stays back
                      pending, payment not completed yet  =  parked: the payment's completion applies it

A parked refund's row is what the completion finds it by, under the payment's lock: whichever of the two comes first,
the other sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import clock, ids
from common.database import execute, fetch_all, fetch_one, transaction
from common.events import emit_event
from common.events.types import PaymentRefunded

from . import ledger, rows, subscriptions
from .refund_status import PROGRESS

if TYPE_CHECKING:
    from common.functions import Delivery

    from .ledger import Status
    from .refund_status import RefundStatus
    from .rows import Payment

STATUS = {"PENDING": "pending", "CONFIRMED": "pending", "FAILED": "failed", "COMPLETED": "completed"}
"""From PhonePe's words to ours."""


@dataclass(frozen=True)
class Finding:
    """What became of a refund."""

    refund: RefundStatus
    status: Status


async def order_of(merchant_refund_id: str) -> str | None:
    """The order whose refund we know under this id."""
    row = await fetch_one(
        """
        select p.phonepe_merchant_transaction_id as merchant_order_id
        from payment_refunds r join payments p on p.id = r.payment_id
        where r.merchant_refund_id = %s
        """,
        (merchant_refund_id,),
    )
    return row["merchant_order_id"] if row else None


async def waiting(payment: Payment) -> list[str]:
    """The payment's refunds that are not decided, oldest first, by PhonePe's merchantRefundId."""
    found = await fetch_all(
        """
        select merchant_refund_id from payment_refunds
        where payment_id = %s and workspace_id = %s and status = 'pending' order by created_at, id
        """,
        (payment.id, payment.workspace_id),
    )
    return [row["merchant_refund_id"] for row in found]


async def apply(delivery: Delivery, merchant_order_id: str, refund: RefundStatus) -> Finding | None:
    """Give a refund its effect, together with its event's row; None where another delivery of the event came first.

    Raises:
        Unavailable: the database cannot do it now, or what was committed could not be published.
    """
    async with transaction():
        if not await ledger.claim(delivery, "applied"):
            return None
        payment = await rows.lock(merchant_order_id)
        status = await _apply(payment, refund)
        await ledger.annotate(delivery, status, payment.workspace_id)
        return Finding(refund, status)


async def apply_parked(merchant_order_id: str, refund: RefundStatus) -> Finding:
    """Give a refund that waited for its payment its effect, in the transaction that completes the payment."""
    payment = await rows.lock(merchant_order_id)  # ours already; as the completion, and any refund before, left it
    status = await _apply(payment, refund)
    if status != "duplicate":  # then PhonePe has not decided it yet
        await ledger.unpark(refund.merchant_refund_id, status, payment.workspace_id)
    return Finding(refund, status)


async def _apply(payment: Payment, refund: RefundStatus) -> Status:
    target = STATUS[refund.state]
    known = await fetch_one(
        """
        select id, status from payment_refunds
        where merchant_refund_id = %s and payment_id = %s and workspace_id = %s
        """,
        (refund.merchant_refund_id, payment.id, payment.workspace_id),
    )
    paid = payment.status not in rows.OPEN
    if known and known["status"] == target:
        return "duplicate"
    if known and _rank(known["status"]) > _rank(target):
        return "ignored"
    if target == "completed":
        if payment.refunded_paise + refund.amount_paise > payment.total_amount_paise:
            return "amount_mismatch"
        if not paid:
            await _write(payment, refund, "pending", known)
            return "parked"
    refund_id = await _write(payment, refund, target, known)
    if target == "completed":
        await _give_back(payment, refund_id, refund.amount_paise)
    return "applied"


async def _write(payment: Payment, refund: RefundStatus, status: str, known: dict[str, Any] | None) -> str:
    refund_id = str(known["id"]) if known else ids.new_id()
    await execute(
        """
        insert into payment_refunds as r
            (id, workspace_id, payment_id, merchant_refund_id, phonepe_refund_id, amount_paise, status, failure_code,
             completed_at, created_at)
        values (%(id)s, %(workspace)s, %(payment)s, %(merchant_refund)s, %(phonepe_refund)s, %(amount)s, %(status)s,
                %(failure)s, %(completed)s, %(now)s)
        on conflict (id) do update
        set phonepe_refund_id = coalesce(excluded.phonepe_refund_id, r.phonepe_refund_id),
            amount_paise = excluded.amount_paise, status = excluded.status, failure_code = excluded.failure_code,
            completed_at = excluded.completed_at
        """,
        {
            "id": refund_id,
            "workspace": payment.workspace_id,
            "payment": payment.id,
            "merchant_refund": refund.merchant_refund_id,
            "phonepe_refund": refund.phonepe_refund_id or None,
            "amount": refund.amount_paise,
            "status": status,
            "failure": refund.failure_code or None,
            "completed": clock.now() if status == "completed" else None,
            "now": clock.now(),
        },
    )
    return refund_id


async def _give_back(payment: Payment, refund_id: str, amount_paise: int) -> None:
    from common.billing.documents import issue_documents  # noqa: PLC0415 - most deliveries are no refunds

    refunded = payment.refunded_paise + amount_paise
    full = refunded == payment.total_amount_paise
    await execute(
        "update payments set refunded_paise = %s, status = %s where id = %s and workspace_id = %s",
        (refunded, "refunded" if full else "partially_refunded", payment.id, payment.workspace_id),
    )
    ended = await subscriptions.take_back(payment) if full else []
    await emit_event(
        PaymentRefunded(
            workspace_id=payment.workspace_id,
            payment_id=payment.id,
            refund_id=refund_id,
            user_id=payment.user_id,
            amount_paise=amount_paise,
        ),
        *ended,
    )
    # Last, because it locks the series' counter until the commit. Without a billing profile there is no invoice yet;
    # the credit note is then issued with it.
    await issue_documents(payment.workspace_id, payment.id)


def _rank(status: str) -> int:
    return max(rank for state, rank in PROGRESS.items() if STATUS[state] == status)
