"""Issuing, on a real Postgres: once, in order, without a gap, whatever dies."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from common import clock, ids
from common.billing import store
from common.billing.documents import Issued, issue_documents
from common.billing.fiscal import SeriesExhausted
from common.database import transaction
from common.database.pool import Pool
from common.errors import Unavailable
from tools.sample_data import Billing, create_customer, set_billing_profile

if TYPE_CHECKING:
    from common.billing.gst import Reason
    from tests.stack import Stack

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
KARNATAKA = Billing(state_code="29")


class Payment:
    """A completed payment of a customer."""

    def __init__(self, stack: Stack, billing: Billing | None = None, **changes: Any) -> None:
        self.stack = stack
        customer = create_customer(stack.admin_url, billing=billing)
        self.user_id, self.workspace_id, self.id = customer.user_id, customer.workspace_id, ids.new_id()
        columns = {
            "amount_paise": 299_900,
            "gst_amount_paise": 53_982,
            "total_amount_paise": 353_882,
            "status": "completed",
            "completed_at": NOW,
            "period_start": datetime(2026, 11, 11, 20, 0, tzinfo=UTC),  # 12 November in India
            "period_end": datetime(2026, 12, 11, 20, 0, tzinfo=UTC),
        } | changes
        names = ", ".join(columns)
        stack.rows(
            f"insert into payments (id, workspace_id, user_id, phonepe_merchant_transaction_id, metadata, {names})"  # noqa: S608
            f' values (%s, %s, %s, %s, \'{{"plan": "growth", "billing_cycle": "monthly"}}\','
            f" {', '.join(['%s'] * len(columns))})",
            self.id,
            self.workspace_id,
            self.user_id,
            f"RF-{self.id}",
            *columns.values(),
        )

    async def issue(self) -> Issued:
        with clock.frozen(NOW):
            return await issue_documents(self.workspace_id, self.id)

    def refund(self, paise: int, status: str = "completed") -> None:
        self.stack.rows(
            "insert into payment_refunds"
            " (payment_id, workspace_id, merchant_refund_id, amount_paise, status, completed_at)"
            " values (%s, %s, %s, %s, %s, %s)",
            self.id,
            self.workspace_id,
            ids.new_id(),
            paise,
            status,
            clock.now() if status == "completed" else None,
        )


async def test_an_invoice_says_everything(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    (stored,) = (await paid.issue()).documents
    document = stored.document
    assert document.number == "RF/2026-27/00001"
    assert f"{document.issue_date}" == "2026-11-23"
    assert document.lines[0].description == "RaptorFlow Growth – monthly, 12 Nov 2026 to 11 Dec 2026"  # noqa: RUF001
    assert [(head.name, head.rate_basis_points, head.amount_paise) for head in document.heads] == [
        ("CGST", 900, 26_991),
        ("SGST", 900, 26_991),
    ]
    assert (document.seller.gstin, document.buyer.legal_name) == ("29AABCU9603R1ZJ", "Asha Raman")
    assert (document.place_of_supply, document.place_name, document.supply_type) == ("29", "Karnataka", "intra")
    assert document.buyer.email.endswith("@example.com")
    (row,) = stack.rows("select * from invoices")
    assert (row["period"], row["fy"], row["seq"], row["total_paise"]) == ("2026-11", "2026-27", 1, 353_882)
    assert (await store.documents_of(paid.workspace_id, paid.id))[0].document == document


async def test_twenty_at_once_issue_one(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    issued = await asyncio.gather(*(paid.issue() for _ in range(20)))
    assert {one.documents[0].document.number for one in issued} == {"RF/2026-27/00001"}


async def test_two_hundred_at_once_with_random_aborts_leave_no_gap(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over thirty connections, as of many instances; aborted in every way: an exception, a cancelled task, Postgres
    ending connections at any moment, which most of them spend waiting for the counter."""
    monkeypatch.setattr(Pool.__init__, "__defaults__", (30,))
    customer = Payment(stack, KARNATAKA)
    payments = [customer] + [_another(customer) for _ in range(199)]
    dice = random.Random(7)  # noqa: S311 - a test
    aborted: Counter[str] = Counter()
    waiting = 0

    async def attempt(paid: Payment) -> None:
        async with transaction():
            await paid.issue()
            match dice.choice(["commit", "commit", "raise", "cancel"]):
                case "raise":
                    raise InterruptedError
                case "cancel":
                    raise asyncio.CancelledError

    async def until_issued(paid: Payment) -> None:
        while True:
            try:
                await asyncio.create_task(attempt(paid))
            except (InterruptedError, asyncio.CancelledError, Unavailable) as error:
                aborted[type(error).__name__] += 1
            else:
                return

    async def terminate() -> None:
        nonlocal waiting
        others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        while True:
            found = await asyncio.to_thread(stack.rows, f"select count(*) {others} and wait_event_type = 'Lock'")
            waiting = max(waiting, found[0]["count"])
            await asyncio.to_thread(stack.rows, f"select pg_terminate_backend(pid) {others} order by random() limit 1")
            await asyncio.sleep(0.05)

    terminating = asyncio.create_task(terminate())
    async with asyncio.timeout(60):
        await asyncio.gather(*map(until_issued, payments))
    terminating.cancel()
    await asyncio.gather(terminating, return_exceptions=True)
    rows = stack.rows("select seq, number from invoices order by seq")
    assert [row["seq"] for row in rows] == list(range(1, 201))
    assert len({row["number"] for row in rows}) == 200
    assert waiting > 15
    assert min(aborted[name] for name in ("InterruptedError", "CancelledError", "Unavailable")) > 10, aborted


def _another(first: Payment) -> Payment:
    paid = Payment.__new__(Payment)
    paid.stack, paid.user_id, paid.workspace_id, paid.id = first.stack, first.user_id, first.workspace_id, ids.new_id()
    first.stack.rows(
        "insert into payments (id, workspace_id, user_id, phonepe_merchant_transaction_id, metadata, amount_paise,"
        " gst_amount_paise, total_amount_paise, status, completed_at, period_start, period_end)"
        " select %s, workspace_id, user_id, %s, metadata, amount_paise, gst_amount_paise, total_amount_paise, status,"
        " completed_at, period_start, period_end from payments where id = %s",
        paid.id,
        f"RF-{paid.id}",
        first.id,
    )
    return paid


@pytest.mark.parametrize(
    ("instant", "number", "day"),
    [
        (datetime(2027, 3, 31, 18, 29, tzinfo=UTC), "RF/2026-27/00001", "2027-03-31"),
        (datetime(2027, 3, 31, 18, 31, tzinfo=UTC), "RF/2027-28/00001", "2027-04-01"),
    ],
)
async def test_a_minute_around_the_new_year(stack: Stack, instant: datetime, number: str, day: str) -> None:
    paid = Payment(stack, KARNATAKA)
    with clock.frozen(instant):
        (stored,) = (await issue_documents(paid.workspace_id, paid.id)).documents
    assert (stored.document.number, f"{stored.document.issue_date}") == (number, day)


async def test_who_waits_for_its_number_over_midnight_is_dated_as_it_gets_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, waiting = Payment(stack, KARNATAKA), Payment(stack, KARNATAKA)
    moment = datetime(2026, 11, 23, 18, 29, 59, tzinfo=UTC)  # a second before midnight in India
    monkeypatch.setattr(clock, "now", lambda: moment)
    await issue_documents(first.workspace_id, first.id)
    with psycopg.connect(stack.admin_url) as another:
        another.execute("select 1 from document_counters for update")
        issuing = asyncio.create_task(issue_documents(waiting.workspace_id, waiting.id))
        while not stack.rows(
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)
        moment += timedelta(seconds=2)
    (stored,) = (await issuing).documents
    assert (stored.document.number, f"{stored.document.issue_date}") == ("RF/2026-27/00002", "2026-11-24")
    (row,) = stack.rows("select issue_date, document from invoices where seq = 2")
    assert f"{row['issue_date']}" == row["document"]["issue_date"] == "2026-11-24"


async def test_the_last_number_is_99999(stack: Stack) -> None:
    stack.rows("insert into document_counters values ('RF', '2026-27', 99998)")
    last, beyond = Payment(stack, KARNATAKA), Payment(stack, KARNATAKA)
    assert (await last.issue()).documents[0].document.number == "RF/2026-27/99999"
    with pytest.raises(SeriesExhausted, match="99999"):
        await beyond.issue()
    assert stack.rows("select last_seq from document_counters") == [{"last_seq": 99_999}]
    assert len(stack.rows("select 1 from invoices")) == 1


async def test_a_nearly_full_series_wakes_somebody(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    stack.rows("insert into document_counters values ('RF', '2026-27', 89999)")
    await Payment(stack, KARNATAKA).issue()
    assert any(vars(record).get("fields") == {"alert": "invoice_series_nearly_full"} for record in caplog.records)


@pytest.mark.parametrize(
    ("billing", "reason"),
    [
        (None, "no_profile"),
        (Billing(state_code=None), "no_state"),
        (Billing(legal_name="ஆஷா ராமன்"), "unprintable"),
        (Billing(state_code="33", gstin="29AABCU9603R1ZJ"), "state_contradicts_gstin"),
        (Billing(special_economic_zone=True), "zone_without_gstin"),
    ],
)
async def test_without_a_state_nothing_is_issued_until_there_is_one(
    stack: Stack, billing: Billing | None, reason: Reason
) -> None:
    paid = Payment(stack, billing)
    assert await paid.issue() == Issued(blocked=reason)
    assert stack.rows("select 1 from document_counters") == []
    with psycopg.connect(stack.admin_url) as connection:
        set_billing_profile(connection, paid.user_id, KARNATAKA)
    assert (await paid.issue()).documents[0].document.number == "RF/2026-27/00001"


async def test_an_amount_that_no_tax_explains_takes_no_number(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA, gst_amount_paise=50_000, total_amount_paise=349_900)
    assert await paid.issue() == Issued(blocked="amount_mismatch")
    assert stack.rows("select 1 from document_counters") == []


@pytest.mark.parametrize("status", ["pending", "processing", "failed"])
async def test_a_payment_without_money_has_no_documents(stack: Stack, status: str) -> None:
    assert await Payment(stack, KARNATAKA, status=status).issue() == Issued()


async def test_another_workspace_gets_nothing(stack: Stack) -> None:
    paid, other = Payment(stack, KARNATAKA), Payment(stack, KARNATAKA)
    await paid.issue()
    assert await issue_documents(other.workspace_id, paid.id) == Issued()
    assert await store.documents_of(other.workspace_id, paid.id) == []


async def test_a_profile_edited_later_changes_nothing(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    before = await paid.issue()
    with psycopg.connect(stack.admin_url) as connection:
        set_billing_profile(connection, paid.user_id, Billing(legal_name="Somebody Else", state_code="33"))
    assert await paid.issue() == before


@pytest.mark.parametrize("billing", [KARNATAKA, Billing(state_code="33")])
async def test_partial_refunds_add_up_to_the_invoice(stack: Stack, billing: Billing) -> None:
    paid = Payment(stack, billing, amount_paise=51_371, gst_amount_paise=9_247, total_amount_paise=60_618)
    await paid.issue()
    for paise in (10_001, 20_000, 30_617):
        paid.refund(paise)
        await paid.issue()
    original, *notes = (await paid.issue()).documents
    assert [note.document.number for note in notes] == [f"RC/2026-27/0000{seq}" for seq in (1, 2, 3)]
    assert [note.document.total_paise for note in notes] == [10_001, 20_000, 30_617]
    for head in original.document.heads:
        assert sum(note.document.head_paise(head.name) for note in notes) == head.amount_paise
    assert sum(note.document.taxable_paise for note in notes) == 51_371
    assert sum(note.document.round_off_paise for note in notes) == original.document.round_off_paise
    refers_to = notes[0].document.refers_to
    assert refers_to is not None
    assert (refers_to.number, refers_to.issue_date) == (original.document.number, original.document.issue_date)


async def test_a_refund_before_the_invoice_gets_its_note_with_it(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    paid.refund(353_882)
    paid.refund(1, status="pending")
    issued = await asyncio.gather(*(paid.issue() for _ in range(10)))
    assert len({tuple(stored.document.number for stored in one.documents) for one in issued}) == 1
    assert [stored.document.kind for stored in issued[0].documents] == ["invoice", "credit_note"]


async def test_the_pdf_and_the_mail_are_noted_once(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    (stored,) = (await paid.issue()).documents
    for _ in range(2):
        await store.record_pdf(paid.workspace_id, stored, pdf_object="invoices/a.pdf", sha256="0" * 64)
        await store.record_mailed(paid.workspace_id, stored)
    (again,) = await store.documents_of(paid.workspace_id, paid.id)
    assert (again.pdf_object, again.pdf_sha256, again.mailed_at is not None) == ("invoices/a.pdf", "0" * 64, True)
    with pytest.raises(psycopg.errors.CheckViolation):
        await store.record_pdf(paid.workspace_id, stored, pdf_object="invoices/b.pdf", sha256="1" * 64)
