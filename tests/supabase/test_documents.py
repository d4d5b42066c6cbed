"""Invoices and credit notes: once, consecutive, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.supabase.rows import START, Database, Person, credit_note, insert, invoice, payment, refund, refused, update

if TYPE_CHECKING:
    from psycopg.rows import DictRow


@pytest.fixture
def issued(db: Database, person: Person) -> DictRow:
    return insert(db, "invoices", **invoice(person, insert(db, "payments", **payment(person))["id"]))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"number": "RF/2026-27/000001"}, "invoices_number_check"),
        ({"number": "RF/2026-27/00002"}, "invoices_number_is_its_parts"),
        ({"number": "RF/2025-26/00001"}, "invoices_number_is_its_parts"),
        ({"issue_date": "2026-03-31"}, "invoices_day_is_of_its_year"),
        ({"issue_date": "2027-04-01"}, "invoices_day_is_of_its_year"),
        ({"series": "RC", "number": "RC/2026-27/00001"}, "invoices_series_check"),
        ({"total_paise": 353883}, "invoices_add_up"),
        ({"round_off_paise": 2, "total_paise": 353884}, "invoices_round_off_paise_check"),
        ({"cgst_paise": 1, "total_paise": 353883}, "invoices_halves_are_equal"),
        ({"cgst_paise": 1, "sgst_paise": 1, "total_paise": 353884}, "invoices_halves_or_igst"),
        ({"supply_type": "local"}, "invoices_supply_type_check"),
        ({"place_of_supply": "TN"}, "invoices_place_of_supply_check"),
        ({"status": "draft"}, "invoices_status_check"),
        ({"pdf_object": "a.pdf"}, "invoices_pdf_has_a_hash"),
    ],
)
def test_an_invoice_that_cannot_be_right(
    db: Database, person: Person, changes: dict[str, Any], constraint: str
) -> None:
    paid = insert(db, "payments", **payment(person))["id"]
    with refused(db, constraint):
        insert(db, "invoices", **invoice(person, paid, **changes))


@pytest.mark.parametrize(
    ("day", "fy"),
    [
        ("2026-04-01", "2026-27"),
        ("2027-03-31", "2026-27"),
        ("2028-02-29", "2027-28"),
        ("2099-12-31", "2099-00"),
        ("2100-03-31", "2099-00"),
        ("2109-04-01", "2109-10"),
    ],
)
def test_a_day_is_of_its_fiscal_year(db: Database, person: Person, day: str, fy: str) -> None:
    paid = insert(db, "payments", **payment(person))["id"]
    insert(db, "invoices", **invoice(person, paid, issue_date=day, fy=fy, number=f"RF/{fy}/00001"))


def test_one_invoice_for_a_payment_and_one_for_a_number(db: Database, person: Person, issued: DictRow) -> None:
    with refused(db, "invoices_payment_id_key"):
        insert(db, "invoices", **invoice(person, issued["payment_id"], 2))
    other = insert(db, "payments", **payment(person))["id"]
    with refused(db, "invoices_number_key"):
        insert(db, "invoices", **invoice(person, other, 1))


@pytest.mark.parametrize("change", [{"total_paise": 1}, {"document": {"a": 1}}, {"issue_date": "2026-11-24"}])
def test_an_issued_invoice_does_not_change(db: Database, issued: DictRow, change: dict[str, Any]) -> None:
    with refused(db, "documents_are_fixed"):
        update(db, "invoices", issued, **change)


def test_an_issued_document_is_not_deleted(db: Database, person: Person, issued: DictRow) -> None:
    given_back = insert(db, "payment_refunds", **refund(person, issued["payment_id"]))["id"]
    insert(db, "credit_notes", **credit_note(person, issued["id"], given_back))
    for table in ("credit_notes", "invoices"):
        with refused(db, "documents_are_kept"):
            db.execute(f"delete from {table}".encode())  # noqa: S608 - a name of ours


@pytest.mark.parametrize("tables", ["invoices, credit_notes", "credit_notes", "document_counters"])
def test_not_even_the_owner_empties_the_tables(db: Database, tables: str) -> None:
    with refused(db, "documents_are_kept"):
        db.execute(f"truncate {tables}".encode())


def test_a_series_goes_on_by_one_and_never_back(db: Database) -> None:
    insert(db, "document_counters", series="RF", fy="2026-27", last_seq=7)
    db.execute("update document_counters set last_seq = last_seq + 1")
    for change in ("last_seq = 7", "last_seq = 8", "last_seq = 10", "last_seq = 9, fy = '2027-28'"):
        with refused(db, "document_counters_go_on_by_one"):
            db.execute(f"update document_counters set {change}".encode())  # noqa: S608 - ours
    with refused(db, "document_counters_go_on_by_one"):
        db.execute("delete from document_counters")


def test_what_comes_later_is_written_once(db: Database, issued: DictRow) -> None:
    later = {"pdf_object": "a.pdf", "pdf_sha256": "0" * 64, "mailed_at": START, "irn": "i", "signed_qr": "q"}
    update(db, "invoices", issued, **later)
    update(db, "invoices", issued, **later)
    for change in ({"pdf_sha256": "1" * 64}, {"mailed_at": None}, {"irn": "j"}, {"signed_qr": None}):
        with refused(db, "documents_are_completed_once"):
            update(db, "invoices", issued, **change)


def test_documents_outlive_the_workspace(db: Database, person: Person, issued: DictRow) -> None:
    db.execute("delete from auth.users where id = %s", (person.user_id,))
    assert db.execute("select 1 from invoices where id = %s", (issued["id"],)).fetchone()


def test_one_credit_note_for_a_refund(db: Database, person: Person, issued: DictRow) -> None:
    given_back = insert(db, "payment_refunds", **refund(person, issued["payment_id"]))["id"]
    insert(db, "credit_notes", **credit_note(person, issued["id"], given_back))
    with refused(db, "credit_notes_refund_id_key"):
        insert(db, "credit_notes", **credit_note(person, issued["id"], given_back, 2))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"amount_paise": 0}, "payment_refunds_amount_paise_check"),
        ({"status": "accepted", "completed_at": None}, "payment_refunds_status_check"),
        ({"status": "pending"}, "payment_refunds_completed_say_when"),
        ({"completed_at": None}, "payment_refunds_completed_say_when"),
    ],
)
def test_a_refund_that_cannot_be_right(db: Database, person: Person, changes: dict[str, Any], constraint: str) -> None:
    paid = insert(db, "payments", **payment(person))["id"]
    with refused(db, constraint):
        insert(db, "payment_refunds", **refund(person, paid, **changes))


@pytest.mark.parametrize("last", [0, 100_000])
def test_a_series_has_five_digits(db: Database, last: int) -> None:
    with refused(db, "document_counters_last_seq_check"):
        insert(db, "document_counters", series="RF", fy="2026-27", last_seq=last)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"gstin": "29aabcu9603r1zj"}, "billing_profiles_gstin_check"),
        ({"state_code": "Karnataka"}, "billing_profiles_state_code_check"),
        ({"country": "India"}, "billing_profiles_country_check"),
        ({"country": "DE", "gstin": "29AABCU9603R1ZJ"}, "billing_profiles_abroad_has_no_gstin"),
    ],
)
def test_a_profile_that_cannot_be_right(db: Database, person: Person, changes: dict[str, Any], constraint: str) -> None:
    with refused(db, constraint):
        insert(db, "billing_profiles", **{"user_id": person.user_id, "legal_name": "Asha Raman", **changes})
