"""Issuing: the invoice of a payment and the credit notes of its refunds, each once, numbered without a gap.

One transaction locks the payment, then the counter of the series, and writes the document. Whatever ends the
transaction before its commit gives the number back; a sequence of Postgres would not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from common import clock
from common.billing import compose, store
from common.billing.config import SellerConfig
from common.billing.fiscal import ALARM, billing_date, document_number, fiscal_year
from common.billing.gst import AmountMismatch, ProfileIncomplete
from common.database import fetch_one, transaction

if TYPE_CHECKING:
    from common.billing.gst import Reason
    from common.billing.models import Document
    from common.billing.store import Stored

log = logging.getLogger(__name__)

INVOICES, CREDIT_NOTES = "RF", "RC"
"""The two series."""
AMOUNT_MISMATCH: Literal["amount_mismatch"] = "amount_mismatch"
PAID = frozenset({"completed", "partially_refunded", "refunded"})


@dataclass(frozen=True, slots=True)
class Issued:
    """What there is of a payment's documents now.

    Attributes:
        documents: the invoice first, then the credit notes in the order of their numbers.
        blocked: why there is no invoice although there should be one, None if there is. `AMOUNT_MISMATCH` is for a
            person to look at; any other is what the buyer can remove.
    """

    documents: tuple[Stored, ...] = ()
    blocked: Reason | Literal["amount_mismatch"] | None = None


async def issue_documents(workspace_id: str, payment_id: str) -> Issued:
    """Issue what is missing: the invoice, then a credit note for each completed refund.

    Safe to repeat and to race with itself; joins a transaction that is open, so that a refund and its note commit
    together. A payment that is not completed, or of a workspace that is gone, has no documents.

    Raises:
        SeriesExhausted: the year's numbers are used up; nothing was issued.
        Misconfigured: the seller is not configured.
        Unavailable: the database cannot do it now.

    Example:
        >>> issued = await issue_documents(workspace_id, payment_id)
        >>> issued.documents[0].document.number
        'RF/2026-27/00001'
    """
    async with transaction():
        payment = await _lock(workspace_id, payment_id)
        if payment is None or payment["status"] not in PAID:
            return Issued()
        stored = await store.documents_of(workspace_id, payment_id)
        if not stored:
            try:
                stored = [await _issue_invoice(payment)]
            except ProfileIncomplete as unknown:
                return Issued(blocked=unknown.reason)
            except AmountMismatch as mismatch:
                alert = {"alert": AMOUNT_MISMATCH, "payment_id": payment_id}
                log.error("no invoice: %s", mismatch, extra={"fields": alert})  # noqa: TRY400 - a finding, not a defect
                return Issued(blocked=AMOUNT_MISMATCH)
        stored += await _issue_credit_notes(payment, stored)
        return Issued(tuple(stored))


async def _lock(workspace_id: str, payment_id: str) -> dict[str, Any] | None:
    return await fetch_one(
        """
        select p.id, p.workspace_id, p.user_id, p.status, p.amount_paise, p.gst_amount_paise, p.total_amount_paise,
               p.billing_cycle, p.period_start, p.period_end, p.completed_at, plans.display_name,
               b.legal_name, b.gstin, b.address, b.state_code, b.country, b.special_economic_zone,
               coalesce(b.email, u.email) as email
        from payments p
        join plans on plans.plan = p.plan
        join users u on u.id = p.user_id
        left join billing_profiles b on b.user_id = p.user_id
        where p.id = %s and p.workspace_id = %s
        for update of p
        """,
        (payment_id, workspace_id),
    )


async def _issue_invoice(payment: dict[str, Any]) -> Stored:
    seller, day = SellerConfig.from_environment(), billing_date(clock.now())
    buyer = compose.buyer_of(payment)
    document = compose.invoice(payment, seller=seller, buyer=buyer, day=day)  # before a number is taken
    fy, seq, document = await _numbered(INVOICES, document)
    period = f"{billing_date(payment['completed_at']):%Y-%m}"
    return await store.insert_invoice(payment, document, fy=fy, seq=seq, period=period)


async def _issue_credit_notes(payment: dict[str, Any], stored: list[Stored]) -> list[Stored]:
    original, notes = stored[0], stored[1:]
    issued: list[Stored] = []
    for refund in await store.refunds_without_note(str(payment["workspace_id"]), str(payment["id"])):
        day = billing_date(clock.now())
        earlier = [note.document for note in (*notes, *issued)]
        document = compose.credit_note(original.document, earlier, refund=refund["amount_paise"], day=day)
        fy, seq, document = await _numbered(CREDIT_NOTES, document)
        issued.append(
            await store.insert_credit_note(payment, document, fy=fy, seq=seq, invoice_id=original.id, refund=refund)
        )
    return issued


async def _numbered(series: str, document: Document) -> tuple[str, int, Document]:
    """Give a document the next number; its counter stays locked until the transaction ends, so whoever is next waits.

    ::

        23:59:59 of the 3rd   A composes its document, and waits for the counter
        00:00:01 of the 4th   B composes its own, and gets the counter first: number 7, dated the 4th
                              A gets it: number 8, dated the 4th too, or the days would run backwards

    A year's last documents keep its last day, for their counter is the old year's.
    """
    fy = fiscal_year(document.issue_date)
    seq = await store.next_seq(series, fy)
    if seq >= ALARM and seq % 1000 == 0:
        alert = {"alert": "invoice_series_nearly_full"}
        log.error("series %s of %s is at %d", series, fy, seq, extra={"fields": alert})
    today = billing_date(clock.now())
    day = today if fiscal_year(today) == fy else document.issue_date
    return fy, seq, replace(document, number=document_number(series, fy, seq), issue_date=day)
