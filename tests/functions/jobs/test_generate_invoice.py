"""From a completed payment to an invoice in the bucket and in the mail: each once."""

from __future__ import annotations

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import httpx
import psycopg
import pytest

from common import clock
from common.billing.gst import Reason
from common.functions.testing import Result, invoke, task_event
from common.infrastructure.errors import PermissionDenied
from common.infrastructure.storage import cloud_storage
from functions.jobs.generate_invoice import mailing
from functions.jobs.generate_invoice.main import generate_invoice_job, main
from tests.billing.test_documents import NOW, Payment
from tests.billing.test_pdf import text_of
from tools.sample_data import Billing, set_billing_profile

if TYPE_CHECKING:
    from tests.stack import Stack

KARNATAKA = Billing(state_code="29")
BUCKET = "invoices"


@pytest.fixture(autouse=True)
async def _buckets(stack: Stack) -> None:
    await stack.make_buckets()


async def run(paid: Payment, *, scope: str = "", retry_count: int = 0, at: datetime = NOW) -> Result:
    arguments = {"workspace_id": paid.workspace_id, "period": "2026-11", "payment_id": paid.id}
    with clock.frozen(at):
        return await invoke(
            main,
            task_event(
                "generate_invoice",
                scope=scope or paid.id,
                period="2026-11",
                arguments=arguments,
                retry_count=retry_count,
            ),
        )


async def mails(stack: Stack, paid: Payment) -> list[dict[str, Any]]:
    (user,) = stack.rows("select email from users where id = %s", paid.user_id)
    async with httpx.AsyncClient(base_url=os.environ["RESEND_BASE_URL"]) as client:
        found: list[dict[str, Any]] = (await client.get("/api/mails", params={"to": user["email"]})).json()["mails"]
    return found


async def arm(*answers: int | str) -> None:
    async with httpx.AsyncClient(base_url=os.environ["RESEND_BASE_URL"]) as client:
        (await client.post("/_local/faults", json={"answers": answers})).raise_for_status()


async def test_the_invoice_lies_in_the_bucket_and_in_the_mail(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    result = await run(paid)
    assert (result.status, result.json()["result"]) == (
        200,
        {"invoices": 1, "credit_notes": 0, "mailed": 1, "undeliverable": 0},
    )
    (row,) = stack.rows("select number, pdf_object, pdf_sha256, mailed_at from invoices")
    assert row["pdf_object"] == "invoices/2026-27/RF-2026-27-00001.pdf"
    assert row["mailed_at"] == NOW
    content = await cloud_storage().download_file(BUCKET, row["pdf_object"])
    assert hashlib.sha256(content).hexdigest() == row["pdf_sha256"]
    text = text_of(content)
    for expected in (row["number"], "Asha Raman", "CGST @ 9 % 269.91", "SGST @ 9 % 269.91", "Total ₹3,538.82"):
        assert expected in text
    (mail,) = await mails(stack, paid)
    assert mail["attachments"][0]["filename"] == "RF-2026-27-00001.pdf"
    assert mail["attachments"][0]["bytes"] == len(content)
    assert "₹3,538.82" in mail["text"]


async def test_a_signed_url_of_the_invoice_works_expires_and_refuses_tampering(stack: Stack) -> None:
    await run(Payment(stack, KARNATAKA))
    (row,) = stack.rows("select pdf_object, pdf_sha256 from invoices")
    url = await cloud_storage().generate_signed_url(BUCKET, row["pdf_object"], timedelta(seconds=2))
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
        assert hashlib.sha256(answer.content).hexdigest() == row["pdf_sha256"]
        assert (await client.get(url.replace("00001", "00002"))).status_code == 403
        assert (await client.get(url.replace("X-Goog-Expires=2", "X-Goog-Expires=9"))).status_code == 403
        assert (await client.get(url.partition("?")[0])).status_code == 403
        assert (await client.delete(url)).status_code == 403
        async with asyncio.timeout(10):
            while (answer := await client.get(url)).status_code == 200:
                await asyncio.sleep(0.2)
        assert (answer.status_code, "ExpiredToken" in answer.text) == (400, True)


async def test_an_invoice_cannot_be_deleted_or_replaced(stack: Stack) -> None:
    await run(Payment(stack, KARNATAKA))
    (row,) = stack.rows("select pdf_object from invoices")
    with pytest.raises(PermissionDenied):
        await cloud_storage().delete_file(BUCKET, row["pdf_object"])
    with pytest.raises(PermissionDenied):
        await cloud_storage().upload_file(BUCKET, row["pdf_object"], b"forged", "application/pdf")


async def test_twenty_tasks_are_one_invoice_and_one_mail(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)

    async def delivered(scope: str) -> None:
        while (await run(paid, scope=scope)).status == 503:  # so many at once: no connection was free, it comes again
            pass

    async with asyncio.timeout(60):
        await asyncio.gather(*(delivered(f"scope-{number}") for number in range(20)))
    runs = stack.rows("select status from job_runs")
    assert [run["status"] for run in runs] == ["completed"] * 20
    assert len(stack.rows("select 1 from invoices")) == 1
    assert len(await mails(stack, paid)) == 1


@pytest.mark.parametrize(
    ("variable", "step"), [("STORAGE_EMULATOR_HOST", "pdf_object"), ("RESEND_BASE_URL", "mailed_at")]
)
async def test_a_step_that_fails_is_tried_again_alone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, variable: str, step: str
) -> None:
    from common.lifecycle import aclose_all

    paid = Payment(stack, KARNATAKA)
    good = os.environ[variable]
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setattr("common.infrastructure.storage_client.STORAGE_SECONDS", 2.0)
    assert (await run(paid)).status == 503
    (before,) = stack.rows("select * from invoices")
    assert before[step] is None
    await aclose_all()
    monkeypatch.setenv(variable, good)
    assert (await run(paid, retry_count=1)).status == 200
    (after,) = stack.rows("select * from invoices")
    assert (after["number"], after["document"]) == (before["number"], before["document"])
    assert after[step] is not None
    assert len(await mails(stack, paid)) == 1


async def test_an_upload_that_was_never_noted_is_found_again(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    await run(paid)
    (before,) = stack.rows("select pdf_sha256 from invoices")
    stack.rows("alter table invoices disable trigger user")
    stack.rows("update invoices set pdf_object = null, pdf_sha256 = null, mailed_at = null")
    stack.rows("alter table invoices enable trigger user")
    assert (await run(paid, scope="again")).status == 200
    assert stack.rows("select pdf_sha256 from invoices") == [before]
    assert len(await mails(stack, paid)) == 1


@pytest.mark.parametrize("noted", [False, True])
async def test_another_pdf_under_the_documents_name_is_mailed_to_nobody(
    stack: Stack, noted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    paid = Payment(stack, KARNATAKA)
    await cloud_storage().upload_file(
        BUCKET, "invoices/2026-27/RF-2026-27-00001.pdf", b"%PDF forged", "application/pdf"
    )
    if noted:  # its row says so, and the hash of the true one
        await paid.issue()
        stack.rows(
            "update invoices set pdf_object = 'invoices/2026-27/RF-2026-27-00001.pdf', pdf_sha256 = repeat('0', 64)"
        )
    assert (await run(paid)).status == 204
    (letter,) = await stack.published("dead-letter")
    assert letter.attributes["dead-letter-reason"] == "pdf_altered"
    assert "pdf_altered" in str([vars(record).get("fields") for record in caplog.records])
    assert await mails(stack, paid) == []


async def test_a_noted_pdf_stays_what_it_is_when_we_draw_otherwise(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = Payment(stack, KARNATAKA)
    await arm(503)
    assert (await run(paid)).status == 503  # the PDF is noted, its mail is not sent
    (before,) = stack.rows("select pdf_object, pdf_sha256 from invoices")
    monkeypatch.setattr("common.billing.pdf.document.render", lambda _document: b"%PDF of a newer version")
    assert (await run(paid, retry_count=1)).status == 200
    assert stack.rows("select pdf_object, pdf_sha256 from invoices") == [before]
    (mail,) = await mails(stack, paid)
    stored = await cloud_storage().download_file(BUCKET, before["pdf_object"])
    assert mail["attachments"][0]["bytes"] == len(stored) > 1000


async def test_an_address_may_be_in_any_script(stack: Stack) -> None:
    paid = Payment(stack, Billing(state_code="29", email="ஆஷா@example.com"))
    assert (await run(paid)).json()["result"]["mailed"] == 1


async def test_a_mail_that_nobody_takes_does_not_hold_the_rest_up(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    paid = Payment(stack, Billing(state_code="29", email="not an address"))
    result = await run(paid)
    assert (result.status, result.json()["result"]["undeliverable"]) == (200, 1)
    (row,) = stack.rows("select pdf_object, mailed_at from invoices")
    assert (row["pdf_object"] is not None, row["mailed_at"]) == (True, None)
    assert "notification_failed" in str([vars(record).get("fields") for record in caplog.records])


async def test_without_a_state_the_buyer_is_asked_once_and_the_invoice_follows(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    paid = Payment(stack, None)
    for _ in range(2):
        result = await run(paid)
        assert (result.status, result.json()["status"]) == (200, "skipped")
        assert result.json()["result"]["blocked"] == {paid.id: "no_profile"}
    (mail,) = await mails(stack, paid)
    assert mail["subject"] == "We need your billing details to send your invoice"
    assert mailing.DETAILS["no_profile"] in mail["text"]
    with psycopg.connect(stack.admin_url) as connection:
        set_billing_profile(connection, paid.user_id, Billing(state_code=None))
    await run(paid)
    assert mailing.DETAILS["no_state"] in (await mails(stack, paid))[1]["text"]  # not what he was told before
    assert "invoice_overdue" not in caplog.text
    await run(paid, at=NOW + timedelta(days=20, minutes=1))
    assert "invoice_overdue" in str([vars(record).get("fields") for record in caplog.records])
    with psycopg.connect(stack.admin_url) as connection:
        set_billing_profile(connection, paid.user_id, KARNATAKA)
    assert (await run(paid)).json()["status"] == "completed"
    assert len(await mails(stack, paid)) == 3


def test_a_buyer_is_told_each_reason() -> None:
    assert set(mailing.DETAILS) == set(get_args(Reason))


async def test_an_amount_that_no_tax_explains_is_for_a_person(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    paid = Payment(stack, KARNATAKA, gst_amount_paise=50_000, total_amount_paise=349_900)
    assert (await run(paid)).status == 204
    (letter,) = await stack.published("dead-letter")
    assert letter.attributes["dead-letter-reason"] == "amount_mismatch"
    assert "amount_mismatch" in str([vars(record).get("fields") for record in caplog.records])
    assert await mails(stack, paid) == []


async def test_credit_notes_are_drawn_and_mailed_too(stack: Stack) -> None:
    paid = Payment(stack, KARNATAKA)
    await run(paid)
    paid.refund(100_000)
    paid.refund(253_882)
    result = await run(paid, scope="refund")
    assert result.json()["result"] == {"invoices": 1, "credit_notes": 2, "mailed": 2, "undeliverable": 0}
    rows = stack.rows("select number, pdf_object, mailed_at from credit_notes order by seq")
    assert [row["pdf_object"] for row in rows] == [
        "invoices/2026-27/RC-2026-27-00001.pdf",
        "invoices/2026-27/RC-2026-27-00002.pdf",
    ]
    subjects = [mail["subject"] for mail in await mails(stack, paid)]
    assert subjects[1:] == [f"Your RaptorFlow credit note {row['number']}" for row in rows]


async def test_called_directly_it_takes_all_payments_of_the_month(stack: Stack) -> None:
    first = Payment(stack, KARNATAKA)
    stack.rows("update payments set completed_at = %s", datetime(2026, 10, 31, 18, 29, tzinfo=UTC))  # 23:59 in India
    with clock.frozen(NOW):
        assert await generate_invoice_job(first.workspace_id, "2026-11") == {
            "invoices": 0,
            "credit_notes": 0,
            "mailed": 0,
            "undeliverable": 0,
        }
        counts = await generate_invoice_job(first.workspace_id, "2026-10")
    assert counts == {"invoices": 1, "credit_notes": 0, "mailed": 1, "undeliverable": 0}


async def test_another_workspace_is_never_touched(stack: Stack) -> None:
    paid, other = Payment(stack, KARNATAKA), Payment(stack, KARNATAKA)
    paid.workspace_id = other.workspace_id
    assert (await run(paid)).json()["result"]["invoices"] == 0
    assert stack.rows("select 1 from invoices") == []
