"""Payments that lack a document, its PDF or its mail; of all workspaces, by pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.clock import BILLING_TZ
from common.database import fetch_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

PAGE = 500
FOR_A_PERSON = ["amount_mismatch", "pdf_altered"]
"""Ends of ``generate_invoice`` that another task would only repeat: somebody was alerted, and replays the letter."""

_FIRST = "00000000-0000-0000-0000-000000000000"


async def payments(before: datetime) -> AsyncIterator[dict[str, Any]]:
    """Payments completed before then, with the month in India; a mail that a person must decide about is not missing.

    Raises:
        Unavailable: the database cannot tell now.
    """
    after: Any = _FIRST
    while page := await _page(before, after):
        for payment in page:
            yield payment
        after = page[-1]["id"]


async def _page(before: datetime, after: Any) -> list[dict[str, Any]]:
    return await fetch_all(
        """
        with given_up as (
            select dedupe_key from notification_log where status in ('failed', 'uncertain')
        ), lacking as (
            select p.id from payments p
            where p.completed_at is not null and not exists (select from invoices i where i.payment_id = p.id)
            union
            select r.payment_id from payment_refunds r
            where r.status = 'completed' and not exists (select from credit_notes n where n.refund_id = r.id)
            union
            select i.payment_id from invoices i
            where i.pdf_object is null
               or i.mailed_at is null and 'invoice/' || i.number not in (select dedupe_key from given_up)
            union
            select i.payment_id from credit_notes n join invoices i on i.id = n.invoice_id
            where n.pdf_object is null
               or n.mailed_at is null and 'credit_note/' || n.number not in (select dedupe_key from given_up)
        )
        select p.id, p.workspace_id, to_char(p.completed_at at time zone %(zone)s, 'YYYY-MM') as period
        from lacking join payments p using (id)
        where p.completed_at < %(before)s and p.id > %(after)s
          and not exists (
              select from job_runs j
              where j.job_name = 'generate_invoice' and j.scope = p.id::text and j.error = any(%(for_a_person)s)
          )
        order by p.id limit %(page)s
        """,
        {"zone": BILLING_TZ, "before": before, "after": after, "for_a_person": FOR_A_PERSON, "page": PAGE},
    )
