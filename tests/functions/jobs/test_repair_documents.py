"""What is missing in the morning gets another task, until it is there or a person must look."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from common import clock
from common.functions.testing import HttpEvent, Result, bearer, invoke, task_event, tick_event
from functions.jobs.generate_invoice.main import main as generate_invoice
from functions.jobs.repair_documents.main import main
from tests.billing.test_documents import KARNATAKA, NOW, Payment
from tests.functions.events.test_on_payment_events import Queue, queue
from tools.sample_data import Billing, set_billing_profile

if TYPE_CHECKING:
    from tests.stack import Stack

__all__ = ["queue"]
MORNING = NOW.replace(day=24, hour=0, minute=40)  # ten past six in India
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def _buckets(stack: Stack) -> None:
    await stack.make_buckets()


async def tick(days: int = 0) -> Result:
    with clock.frozen(MORNING + days * DAY):
        return await invoke(main, tick_event())


async def document(body: dict[str, Any], days: int = 0) -> Result:
    """What the task does that the tick made."""
    with clock.frozen(MORNING + days * DAY):
        return await invoke(generate_invoice, task_event("generate_invoice", **body))


def stamp(stack: Stack, table: str, *, pdf: bool = True, mail: bool = True) -> None:
    """As if the PDF had been stored, and the mail been sent."""
    if pdf:
        stack.rows(f"update {table} set pdf_object = 'a.pdf', pdf_sha256 = repeat('0', 64)")  # noqa: S608 - a literal
    if mail:
        stack.rows(f"update {table} set mailed_at = %s", NOW)  # noqa: S608


def ended(stack: Stack, paid: Payment, *, status: str = "completed", error: str | None = None) -> None:
    """The payment's own task, as the ledger knows it."""
    stack.rows(
        "insert into job_runs (job_name, scope, period, status, attempt, started_at, completed_at, error)"
        " values ('generate_invoice', %s, '2026-11', %s, 1, now(), now(), %s)",
        paid.id,
        status,
        error,
    )


async def test_a_blocked_invoice_is_tried_each_day_until_the_profile_is_there(stack: Stack, queue: Queue) -> None:
    paid = Payment(stack, None)
    for day in range(2):
        assert (await tick(day)).json()["result"] == {"enqueued": 1}
        assert (await tick(day)).json()["already_done"] is True
        bodies = await queue.bodies()
        assert sorted(body["period"] for body in bodies) == ["2026-11-24", "2026-11-25"][: day + 1]
        (body,) = [body for body in bodies if body["period"] == f"2026-11-{24 + day}"]
        assert body["scope"] == paid.id
        assert body["arguments"] == {"workspace_id": paid.workspace_id, "period": "2026-11", "payment_id": paid.id}
        assert (await document(body, day)).json()["result"]["blocked"] == {paid.id: "no_profile"}
    with psycopg.connect(stack.admin_url) as connection:
        set_billing_profile(connection, paid.user_id, Billing())
    await tick(2)
    (body,) = [body for body in await queue.bodies() if body["period"] == "2026-11-26"]
    assert (await document(body, 2)).json()["status"] == "completed"
    assert stack.rows("select mailed_at is not null as mailed from invoices") == [{"mailed": True}]
    assert (await tick(3)).json()["result"] == {"enqueued": 0}


@pytest.mark.parametrize("lacking", ["invoice", "pdf", "mail", "note", "note's pdf", "note's mail"])
async def test_whatever_is_missing_gets_a_task(stack: Stack, queue: Queue, lacking: str) -> None:
    paid = Payment(stack, KARNATAKA)
    if lacking != "invoice":
        await paid.issue()
    if lacking == "mail":
        stamp(stack, "invoices", mail=False)
    if lacking.startswith("note"):
        stamp(stack, "invoices")
        paid.refund(100_000)
    if lacking.startswith("note's"):
        await paid.issue()
        stamp(stack, "credit_notes", pdf=lacking == "note's mail", mail=False)
    assert (await tick()).json()["result"] == {"enqueued": 1}
    assert [body["scope"] for body in await queue.bodies()] == [paid.id]


async def test_the_task_runs_although_the_payments_own_run_is_completed(stack: Stack, queue: Queue) -> None:
    paid = Payment(stack, KARNATAKA)
    await paid.issue()
    ended(stack, paid)
    await tick()
    (body,) = await queue.bodies()
    assert (await document(body)).json()["result"]["mailed"] == 1
    assert (await tick(1)).json()["result"] == {"enqueued": 0}


@pytest.mark.parametrize("error", ["amount_mismatch", "pdf_altered"])
async def test_what_a_person_must_look_at_is_not_repeated(stack: Stack, queue: Queue, error: str) -> None:
    ended(stack, Payment(stack, KARNATAKA), status="failed", error=error)
    assert (await tick()).json()["result"] == {"enqueued": 0}


@pytest.mark.parametrize("status", ["failed", "uncertain"])
async def test_a_mail_that_a_person_must_decide_about_is_not_missing(stack: Stack, queue: Queue, status: str) -> None:
    paid = Payment(stack, KARNATAKA)
    paid.refund(100)
    await paid.issue()
    for table in ("invoices", "credit_notes"):
        stamp(stack, table, mail=False)
    for key in ("invoice/RF/2026-27/00001", "credit_note/RC/2026-27/00001"):
        stack.rows(
            "insert into notification_log (dedupe_key, user_id, workspace_id, kind, channel, status)"
            " values (%s, %s, %s, 'invoice', 'email', %s)",
            key,
            paid.user_id,
            paid.workspace_id,
            status,
        )
    assert (await tick()).json()["result"] == {"enqueued": 0}


async def test_a_payment_that_is_in_work_or_open_lacks_nothing(stack: Stack, queue: Queue) -> None:
    Payment(stack, KARNATAKA, completed_at=MORNING - timedelta(hours=4))
    Payment(stack, KARNATAKA, status="processing", completed_at=None)
    assert (await tick()).json()["result"] == {"enqueued": 0}


async def test_there_may_be_more_than_a_page(stack: Stack, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.jobs.repair_documents.missing.PAGE", 2)
    payments = [Payment(stack, None) for _ in range(5)]
    assert (await tick()).json()["result"] == {"enqueued": 5}
    assert sorted(body["scope"] for body in await queue.bodies()) == sorted(paid.id for paid in payments)


async def test_only_the_scheduler_may_call(stack: Stack) -> None:
    event = tick_event()
    stranger = HttpEvent(headers={**dict(event.headers), "authorization": bearer("stranger@example.com")})
    assert (await invoke(main, stranger)).status == 403
