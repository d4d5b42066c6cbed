"""What stays when an account or a workspace is deleted: every document that the law wants kept for eight years."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.supabase.rows import (
    PAID,
    Database,
    Person,
    credit_note,
    insert,
    invoice,
    payment,
    refund,
    refused,
    sign_up,
    update,
)
from tools.local.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from psycopg.rows import DictRow

WRITTEN: dict[str, Any] = {"pdf_object": "invoices/a.pdf", "pdf_sha256": "0" * 64}
ROUTES = {
    "account": "delete from auth.users where id = %(user_id)s",
    "user": "delete from public.users where id = %(user_id)s",
    "workspace": "delete from public.workspaces where id = %(workspace_id)s",
    "payments": "delete from public.payments where user_id = %(user_id)s",
}
"""Ways in which the rows behind a document go."""
route = pytest.mark.parametrize("route", ROUTES)
WAIT = "payments_wait_for_documents"


def delete(db: Database, person: Person, route: str) -> None:
    db.execute(ROUTES[route].encode(), vars(person))


def paid(db: Database, person: Person, **changes: Any) -> DictRow:
    return insert(db, "payments", **payment(person, status="completed", **PAID, **changes))


def refunded(db: Database, person: Person, payment_row: DictRow) -> DictRow:
    update(db, "payments", payment_row, status="refunded", refunded_paise=payment_row["total_amount_paise"])
    return insert(db, "payment_refunds", **refund(person, payment_row["id"]))


def rows(db: Database, table: str) -> list[DictRow]:
    return db.execute(f"select * from {table} order by id".encode()).fetchall()  # noqa: S608 - a name of ours


@route
def test_documents_stay_as_they_were(db: Database, person: Person, route: str) -> None:
    row = paid(db, person)
    issued = insert(db, "invoices", **invoice(person, row["id"], **WRITTEN))
    given_back = refunded(db, person, row)
    insert(db, "credit_notes", **credit_note(person, issued["id"], given_back["id"], **WRITTEN))
    insert(db, "document_counters", series="RF", fy="2026-27", last_seq=1)
    kept = ("invoices", "credit_notes")
    before = [rows(db, table) for table in kept]
    delete(db, person, route)
    assert [rows(db, table) for table in kept] == before
    assert [len(found) for found in before] == [1, 1]
    assert rows(db, "payments") == rows(db, "payment_refunds") == []
    assert db.execute("select last_seq from document_counters").fetchall() == [{"last_seq": 1}]


def test_no_document_hangs_on_what_can_go(db: Database) -> None:
    found = db.execute(
        """
        select conrelid::regclass::text as refers, confrelid::regclass::text as to, confdeltype as at_deletion
        from pg_constraint
        where contype = 'f' and conrelid = any(array['invoices', 'credit_notes', 'document_counters']::regclass[])
        """
    ).fetchall()
    assert found == [{"refers": "credit_notes", "to": "invoices", "at_deletion": "a"}]  # no action: refused


@route
def test_a_payment_without_its_invoice_holds_the_account(db: Database, person: Person, route: str) -> None:
    row = paid(db, person)
    with refused(db, WAIT):
        delete(db, person, route)
    assert rows(db, "payments") == [row]
    assert rows(db, "users")
    issued = insert(db, "invoices", **invoice(person, row["id"]))
    with refused(db, WAIT):  # no PDF yet, and nobody would write it
        delete(db, person, route)
    update(db, "invoices", issued, **WRITTEN)
    delete(db, person, route)
    assert rows(db, "payments") == []


@route
def test_a_refund_without_its_credit_note_holds_the_account(db: Database, person: Person, route: str) -> None:
    row = paid(db, person)
    issued = insert(db, "invoices", **invoice(person, row["id"], **WRITTEN))
    given_back = refunded(db, person, row)
    with refused(db, WAIT):
        delete(db, person, route)
    note = insert(db, "credit_notes", **credit_note(person, issued["id"], given_back["id"]))
    with refused(db, WAIT):
        delete(db, person, route)
    update(db, "credit_notes", note, **WRITTEN)
    delete(db, person, route)
    assert rows(db, "payment_refunds") == []


def test_what_was_not_paid_or_not_given_back_holds_nothing(db: Database, person: Person) -> None:
    for status in ("pending", "processing", "failed"):
        insert(db, "payments", **payment(person, status=status))
    row = paid(db, person)
    insert(db, "invoices", **invoice(person, row["id"], **WRITTEN))
    for status in ("pending", "failed"):
        insert(db, "payment_refunds", **refund(person, row["id"], status=status, completed_at=None))
    delete(db, person, "account")
    assert rows(db, "payments") == []


def test_one_customer_s_missing_document_holds_nobody_else(db: Database, person: Person) -> None:
    paid(db, person)
    other = sign_up(db, "b@example.com")
    delete(db, other, "account")
    assert [str(row["id"]) for row in rows(db, "users")] == [person.user_id]


@pytest.mark.parametrize("table", ["payments", "workspaces", "users", "auth.users"])
def test_payments_are_not_emptied(db: Database, table: str) -> None:
    with refused(db, "documents_are_kept"):
        db.execute(f"truncate {table} cascade".encode())


@pytest.mark.parametrize("role", ["service_role", "owner"])
def test_whoever_deletes_is_held(db: Database, person: Person, role: str) -> None:
    paid(db, person)
    if role != "owner":
        db.execute(f"set local role {role}".encode())
    with refused(db, WAIT):
        delete(db, person, "workspace")


class TestAtOnce:
    """A deletion that comes while another transaction writes waits for it, and sees what it wrote."""

    @pytest.fixture
    def url(self, new_database: Callable[[], str]) -> str:
        url = new_database()
        migrate(url)
        return url

    def test_a_deletion_waits_for_the_payment_and_is_refused(self, url: str) -> None:
        with psycopg.connect(url, row_factory=dict_row) as writer:
            person = sign_up(writer)
            row = insert(writer, "payments", **payment(person))
            writer.commit()
            update(writer, "payments", row, status="completed", **PAID)
            with ThreadPoolExecutor(1) as threads:
                deletion = threads.submit(self.delete, url, person)
                self.commit_once_it_waits(deletion, writer)
                assert deletion.result(30) == WAIT
            assert [found["status"] for found in rows(writer, "payments")] == ["completed"]

    def test_a_deletion_waits_for_the_document_and_leaves_it(self, url: str) -> None:
        with psycopg.connect(url, row_factory=dict_row) as writer:
            person = sign_up(writer)
            row = paid(writer, person)
            writer.commit()
            writer.execute("select 1 from payments for update")  # as issuing does
            insert(writer, "invoices", **invoice(person, row["id"], **WRITTEN))
            with ThreadPoolExecutor(1) as threads:
                deletion = threads.submit(self.delete, url, person)
                self.commit_once_it_waits(deletion, writer)
                assert deletion.result(30) is None
            assert (len(rows(writer, "payments")), len(rows(writer, "invoices"))) == (0, 1)

    @staticmethod
    def delete(url: str, person: Person) -> str | None:
        try:
            with psycopg.connect(url, row_factory=dict_row) as connection:
                delete(connection, person, "account")
        except psycopg.errors.CheckViolation as error:
            return error.diag.constraint_name
        return None

    @staticmethod
    def commit_once_it_waits(deletion: Future[str | None], writer: Database) -> None:
        waiting = b"select 1 from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))"
        while not writer.execute(waiting).fetchall():
            assert not deletion.done()
        writer.commit()
