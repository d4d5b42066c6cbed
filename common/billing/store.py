"""The tables of tax documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import clock, ids
from common.billing.fiscal import CAPACITY, SeriesExhausted
from common.billing.models import Document
from common.database import execute, fetch_all, fetch_one

if TYPE_CHECKING:
    from datetime import datetime

_TABLES = {"invoice": "invoices", "credit_note": "credit_notes"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A document and what became of it since.

    Attributes:
        id: of its row.
        document: what it shows.
        pdf_object: name of the PDF in the bucket for invoices, empty before it is there.
        pdf_sha256: of the PDF's bytes, hexadecimal.
        mailed_at: when the mail was handed over.
    """

    id: str
    document: Document
    pdf_object: str = ""
    pdf_sha256: str = ""
    mailed_at: datetime | None = None


async def documents_of(workspace_id: str, payment_id: str) -> list[Stored]:
    """The invoice of a payment, then its credit notes by number."""
    rows = await fetch_all(
        """
        select i.id, i.document, i.pdf_object, i.pdf_sha256, i.mailed_at, 0 as place, i.created_at, i.seq
        from invoices i where i.payment_id = %(payment)s and i.workspace_id = %(workspace)s
        union all
        select n.id, n.document, n.pdf_object, n.pdf_sha256, n.mailed_at, 1, n.created_at, n.seq
        from credit_notes n join invoices i on i.id = n.invoice_id
        where i.payment_id = %(payment)s and i.workspace_id = %(workspace)s and n.workspace_id = %(workspace)s
        order by place, created_at, seq
        """,
        {"payment": payment_id, "workspace": workspace_id},
    )
    return [
        Stored(
            id=str(row["id"]),
            document=Document.from_json(row["document"]),
            pdf_object=row["pdf_object"] or "",
            pdf_sha256=row["pdf_sha256"] or "",
            mailed_at=row["mailed_at"],
        )
        for row in rows
    ]


async def refunds_without_note(workspace_id: str, payment_id: str) -> list[dict[str, Any]]:
    """Completed refunds that no credit note was issued for, oldest first."""
    return await fetch_all(
        """
        select r.id, r.amount_paise from payment_refunds r
        where r.payment_id = %s and r.workspace_id = %s and r.status = 'completed'
          and not exists (select from credit_notes n where n.refund_id = r.id)
        order by r.completed_at, r.id
        """,
        (payment_id, workspace_id),
    )


async def next_seq(series: str, fy: str) -> int:
    """The next number of a series, with its counter locked until the transaction ends.

    Raises:
        SeriesExhausted: there is none left.
    """
    row = await fetch_one(
        """
        insert into document_counters as c (series, fy, last_seq) values (%s, %s, 1)
        on conflict (series, fy) do update set last_seq = c.last_seq + 1 where c.last_seq < %s
        returning last_seq
        """,
        (series, fy, CAPACITY),
    )
    if row is None:
        raise SeriesExhausted(f"series {series} of {fy} has used all {CAPACITY} numbers")
    seq: int = row["last_seq"]
    return seq


async def insert_invoice(payment: dict[str, Any], document: Document, *, fy: str, seq: int, period: str) -> Stored:
    """Write an invoice."""
    identity = ids.new_id()
    await execute(
        """
        insert into invoices (id, workspace_id, user_id, payment_id, number, series, fy, seq, issue_date, period,
                              supply_type, place_of_supply, taxable_paise, cgst_paise, sgst_paise, igst_paise,
                              round_off_paise, total_paise, document, created_at)
        values (%(id)s, %(workspace)s, %(user)s, %(payment)s, %(number)s, %(series)s, %(fy)s, %(seq)s, %(day)s,
                %(period)s, %(supply_type)s, %(place)s, %(taxable)s, %(cgst)s, %(sgst)s, %(igst)s,
                %(round_off)s, %(total)s, %(document)s::jsonb, %(now)s)
        """,
        {
            **_columns(identity, payment, document, fy, seq),
            "payment": payment["id"],
            "period": period,
            "supply_type": document.supply_type,
            "place": document.place_of_supply,
        },
    )
    return Stored(identity, document)


async def insert_credit_note(
    payment: dict[str, Any], document: Document, *, fy: str, seq: int, invoice_id: str, refund: dict[str, Any]
) -> Stored:
    """Write a credit note."""
    identity = ids.new_id()
    await execute(
        """
        insert into credit_notes (id, workspace_id, user_id, invoice_id, refund_id, number, series, fy, seq, issue_date,
                                  taxable_paise, cgst_paise, sgst_paise, igst_paise, round_off_paise, total_paise,
                                  document, created_at)
        values (%(id)s, %(workspace)s, %(user)s, %(invoice)s, %(refund)s, %(number)s, %(series)s, %(fy)s, %(seq)s,
                %(day)s, %(taxable)s, %(cgst)s, %(sgst)s, %(igst)s, %(round_off)s, %(total)s, %(document)s::jsonb,
                %(now)s)
        """,
        {**_columns(identity, payment, document, fy, seq), "invoice": invoice_id, "refund": refund["id"]},
    )
    return Stored(identity, document)


async def record_pdf(workspace_id: str, stored: Stored, *, pdf_object: str, sha256: str) -> None:
    """Note where a document's PDF lies; the same again changes nothing.

    Raises:
        psycopg.errors.CheckViolation: another one is noted already.
    """
    table = _TABLES[stored.document.kind]
    await execute(
        f"update {table} set pdf_object = %s, pdf_sha256 = %s where id = %s and workspace_id = %s",  # noqa: S608 - a literal
        (pdf_object, sha256, stored.id, workspace_id),
    )


async def record_mailed(workspace_id: str, stored: Stored) -> None:
    """Note that a document's mail was handed over, once."""
    table = _TABLES[stored.document.kind]
    await execute(
        f"update {table} set mailed_at = %s where id = %s and workspace_id = %s and mailed_at is null",  # noqa: S608 - a literal
        (clock.now(), stored.id, workspace_id),
    )


def _columns(identity: str, payment: dict[str, Any], document: Document, fy: str, seq: int) -> dict[str, Any]:
    return {
        "id": identity,
        "workspace": payment["workspace_id"],
        "user": payment["user_id"],
        "number": document.number,
        "series": document.number[:2],
        "fy": fy,
        "seq": seq,
        "day": document.issue_date,
        "taxable": document.taxable_paise,
        "cgst": document.head_paise("CGST"),
        "sgst": document.head_paise("SGST"),
        "igst": document.head_paise("IGST"),
        "round_off": document.round_off_paise,
        "total": document.total_paise,
        "document": json.dumps(document.as_json(), ensure_ascii=False),
        "now": clock.now(),
    }
