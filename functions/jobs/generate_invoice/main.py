"""The documents of a payment: issued, put into the bucket, mailed; each once, whatever dies in between.

A step that fails is tried again alone: the number is committed before the PDF is made, the PDF lies in the bucket
before its hash is noted, the mail is logged before it is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from common import clock
from common.billing import store
from common.billing.documents import AMOUNT_MISMATCH, issue_documents
from common.clock import BILLING_TZ
from common.database import fetch_all
from common.functions import Drop, serve
from common.jobs import Skipped, job
from common.notifications import Undeliverable

from . import mailing, pdf

if TYPE_CHECKING:
    from common.billing.gst import Reason
    from common.billing.store import Stored

log = logging.getLogger(__name__)

ESCALATE_AFTER = timedelta(days=20)
"""Of the 30 days that the law gives (rule 47): then a person must ask the buyer."""


@job(
    "generate_invoice",
    retries=30,
    timeout=120,
    buckets=["invoices"],
    secrets=["database-url", "resend-api-key"],
)
async def generate_invoice_job(
    workspace_id: str, period: str, payment_id: str | None = None
) -> Mapping[str, Any] | Skipped:
    """Issue, store and mail the invoice and the credit notes of one payment, or of all of a month.

    Args:
        workspace_id: whose.
        period: the month in India in which the payments completed, ``2026-11``.
        payment_id: of one payment; without it, all of the period that lack something.
    """
    counts = {"invoices": 0, "credit_notes": 0, "mailed": 0, "undeliverable": 0}
    blocked: dict[str, str] = {}
    for payment in await _payments(workspace_id, period, payment_id):
        issued = await issue_documents(workspace_id, str(payment["id"]))
        if issued.blocked is not None:
            blocked[str(payment["id"])] = issued.blocked
        if issued.blocked not in {None, AMOUNT_MISMATCH}:  # about that the buyer can do nothing
            await _blocked(payment, workspace_id, issued.blocked)
        for stored in issued.documents:
            counts["credit_notes" if stored.document.kind == "credit_note" else "invoices"] += 1
            outcome = await _complete(str(payment["user_id"]), workspace_id, stored)
            if outcome:
                counts[outcome] += 1
    if AMOUNT_MISMATCH in blocked.values():
        raise Drop(AMOUNT_MISMATCH, "what was paid is not what the tax comes to; a person must look")
    return Skipped("blocked_profile", {**counts, "blocked": blocked}) if blocked else counts


async def _payments(workspace_id: str, period: str, payment_id: str | None) -> list[dict[str, Any]]:
    return await fetch_all(
        """
        select id, user_id, completed_at from payments
        where workspace_id = %(workspace)s and completed_at is not null
          and to_char(completed_at at time zone %(zone)s, 'YYYY-MM') = %(period)s
          and (%(payment)s::uuid is null or id = %(payment)s)
        order by completed_at, id
        """,
        {"workspace": workspace_id, "zone": BILLING_TZ, "period": period, "payment": payment_id},
    )


async def _complete(user_id: str, workspace_id: str, stored: Stored) -> str:
    """Make the PDF and send the mail, as far as that is not done; ``mailed``, ``undeliverable``, or empty if it was."""
    stored, content = await pdf.ensure(workspace_id, stored)
    if stored.mailed_at is not None:
        return ""
    try:
        await mailing.send(user_id, workspace_id, stored, content)
    except Undeliverable as error:  # a person has been alerted; the document itself is there
        log.warning("%s is not mailed: %s", stored.document.number, error)
        return "undeliverable"
    await store.record_mailed(workspace_id, stored)
    return "mailed"


async def _blocked(payment: dict[str, Any], workspace_id: str, reason: Reason) -> None:
    await mailing.ask_for_profile(str(payment["user_id"]), workspace_id, str(payment["id"]), reason)
    if clock.now() - payment["completed_at"] > ESCALATE_AFTER:
        alert = {"alert": "invoice_overdue", "payment_id": str(payment["id"])}
        log.error("no invoice after %d days: %s", ESCALATE_AFTER.days, reason, extra={"fields": alert})


main = serve(generate_invoice_job)
