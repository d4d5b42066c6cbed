"""A refund's notification: confirmed through the status API, then applied. Of its body only the refund's id counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.functions import Retry

from . import ledger, refunds, rows
from .alerts import alert, dropped, is_ours
from .refund_status import PROGRESS, refund_status

if TYPE_CHECKING:
    from common.functions import Delivery
    from common.webhooks.models import WebhookEvent

    from .refund_status import RefundStatus
    from .refunds import Finding
    from .rows import Payment

CLAIMS = {"pg.refund.accepted": "CONFIRMED", "pg.refund.failed": "FAILED", "pg.refund.completed": "COMPLETED"}
"""What each notification says has happened."""


def is_refund(event: WebhookEvent) -> bool:
    """Whether it is about a refund; PhonePe documents some that have neither ``event`` nor ``payload``."""
    unwrapped = event.event_type == "unnamed" and bool(event.subject)
    return event.event_type in CLAIMS or (unwrapped and event.payload.get("merchantRefundId") == event.subject)


async def settle(delivery: Delivery, event: WebhookEvent) -> None:
    """Apply the refund as the status API tells it.

    Raises:
        Retry: the status API is behind the notification, or says something that we do not know.
        Drop: it is about another merchant's refund, or about none.
        Unavailable: PhonePe or the database cannot answer now.
    """
    if event.payload.get("merchantRefundId") != event.subject:
        raise dropped("malformed", event.subject, "the notification names no refund")
    refund = await refund_status(event.subject)
    if refund is None:
        await ledger.settle(delivery, "unknown_order")
        alert("unknown_refund", event.subject)
        return
    if doubt := _doubt(event.subject, refund):
        raise dropped(doubt, event.subject, "the status API answered for somebody else")
    _check_progress(event, refund)
    known = await refunds.order_of(event.subject)
    if known and refund.merchant_order_id not in {None, known}:
        raise dropped("refund_mismatch", event.subject, "the refund was of another order before")
    merchant_order_id = refund.merchant_order_id or known
    if merchant_order_id is None or await rows.find(merchant_order_id) is None:
        await ledger.settle(delivery, "unknown_order")
        alert("unknown_order", event.subject)
        return
    finding = await refunds.apply(delivery, merchant_order_id, refund)
    if finding is not None:
        report(finding)


async def confirm_waiting(payment: Payment, merchant_order_id: str) -> dict[str, RefundStatus | None]:
    """Ask what became of the refunds that wait for a payment; None for one that cannot be applied, and is alerted.

    Raises:
        Unavailable: PhonePe or the database cannot answer now.
    """
    confirmed: dict[str, RefundStatus | None] = {}
    for merchant_refund_id in await refunds.waiting(payment):
        refund = await refund_status(merchant_refund_id)
        if refund is None:
            doubt = "unknown_refund"
        elif refund.merchant_order_id not in {None, merchant_order_id}:
            doubt = "refund_mismatch"
        else:
            doubt = _doubt(merchant_refund_id, refund) or ("" if refund.state in PROGRESS else "unknown_refund_state")
        if doubt:
            alert(doubt, merchant_refund_id)
        confirmed[merchant_refund_id] = None if doubt else refund
    return confirmed


def report(finding: Finding) -> None:
    """Alert what a person must look at."""
    if finding.status == "amount_mismatch":
        alert("amount_mismatch", finding.refund.merchant_refund_id)
    elif finding.status == "applied" and finding.refund.state == "FAILED":
        alert("refund_failed", finding.refund.merchant_refund_id)


def _check_progress(event: WebhookEvent, refund: RefundStatus) -> None:
    """Never settle a notification by less than it says: a forged one would burn the true one's key."""
    if refund.state not in PROGRESS:
        raise Retry("the status API answered an unknown state")
    claimed = CLAIMS.get(event.event_type) or event.payload.get("state")
    if PROGRESS[refund.state] < PROGRESS.get(claimed if isinstance(claimed, str) else "", 0):
        raise Retry(f"the status API says {refund.state}")


def _doubt(merchant_refund_id: str, refund: RefundStatus) -> str:
    if not is_ours(refund.merchant_id):
        return "merchant_mismatch"
    return "" if refund.merchant_refund_id == merchant_refund_id else "refund_mismatch"
