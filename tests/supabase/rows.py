"""Rows that the constraints accept, to be changed in one respect by a test."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from common import ids

if TYPE_CHECKING:
    from collections.abc import Iterator

Database: TypeAlias = psycopg.Connection[DictRow]

START = datetime(2026, 11, 23, tzinfo=UTC)
END = START + timedelta(days=30)


@dataclass(frozen=True)
class Person:
    user_id: str
    workspace_id: str
    subscription_id: str


def sign_up(db: Database, email: str | None = "asha@example.com", **metadata: Any) -> Person:
    user_id = ids.new_id()
    insert(db, "auth.users", id=user_id, email=email, raw_user_meta_data=metadata)
    return Person(
        user_id,
        str(one(db, "select id from workspaces where user_id = %s", user_id)["id"]),
        str(one(db, "select id from subscriptions where user_id = %s", user_id)["id"]),
    )


def one(db: Database, query: str, *values: Any) -> DictRow:
    rows = db.execute(query.encode(), values).fetchall()
    assert len(rows) == 1, rows
    return rows[0]


def insert(db: Database, table: str, **values: Any) -> DictRow:
    """Insert a row and return it as it was stored."""
    statement = sql.SQL("insert into {} ({}) values ({}) returning *").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)),
    )
    row = db.execute(statement, [_adapted(value) for value in values.values()]).fetchone()
    assert row is not None
    return row


def update(db: Database, table: str, row: DictRow, **values: Any) -> DictRow:
    """Update ``row`` by its id and return it as it was stored."""
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
    statement = sql.SQL("update {} set {} where id = %s returning *").format(sql.Identifier(table), assignments)
    changed = db.execute(statement, [*(_adapted(value) for value in values.values()), row["id"]]).fetchone()
    assert changed is not None
    return changed


def payment(person: Person, **changes: Any) -> dict[str, Any]:
    """The columns of an order for a month of growth."""
    return {
        "workspace_id": person.workspace_id,
        "user_id": person.user_id,
        "amount_paise": 299900,
        "gst_amount_paise": 53982,
        "total_amount_paise": 353882,
        "phonepe_merchant_transaction_id": f"RF-{ids.new_id()}",
        "metadata": {"plan": "growth", "billing_cycle": "monthly"},
        **changes,
    }


def invoice(person: Person, payment_id: Any, seq: int = 1, **changes: Any) -> dict[str, Any]:
    """The columns of an invoice for a month of growth, between states."""
    return {
        "workspace_id": person.workspace_id,
        "user_id": person.user_id,
        "payment_id": payment_id,
        "number": f"RF/2026-27/{seq:05d}",
        "series": "RF",
        "fy": "2026-27",
        "seq": seq,
        "issue_date": START.date(),
        "period": "2026-11",
        "supply_type": "inter",
        "place_of_supply": "33",
        "taxable_paise": 299900,
        "cgst_paise": 0,
        "sgst_paise": 0,
        "igst_paise": 53982,
        "round_off_paise": 0,
        "total_paise": 353882,
        "document": {},
        **changes,
    }


def credit_note(person: Person, invoice_id: Any, refund_id: Any, seq: int = 1, **changes: Any) -> dict[str, Any]:
    """The columns of a credit note for all of it."""
    columns = invoice(person, None, seq, number=f"RC/2026-27/{seq:05d}", series="RC")
    for name in ("payment_id", "period", "supply_type", "place_of_supply"):
        del columns[name]
    return {**columns, "invoice_id": invoice_id, "refund_id": refund_id, **changes}


def refund(person: Person, payment_id: Any, **changes: Any) -> dict[str, Any]:
    """The columns of a refund of all of it."""
    return {
        "workspace_id": person.workspace_id,
        "payment_id": payment_id,
        "merchant_refund_id": f"RR-{ids.new_id()}",
        "amount_paise": 353882,
        "status": "completed",
        "completed_at": START,
        **changes,
    }


PAID = {"completed_at": START, "period_start": START, "period_end": END}
"""What a completed payment has beyond its order."""


@contextmanager
def refused(db: Database, constraint: str) -> Iterator[None]:
    """Expect the named constraint to refuse what is done inside, and go on after it."""
    with pytest.raises(psycopg.errors.IntegrityError) as caught, db.transaction():
        yield
    assert constraint in {caught.value.diag.constraint_name, caught.value.diag.column_name}, caught.value


def _adapted(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict | list) else value
