"""The process dies between any two steps: of the webhook, of the payment's transaction, publishing, acknowledgement.

A child handles the delivery and is killed with SIGKILL before or after its n-th call to anything outside of itself,
for every n until it survives. Then the delivery comes again, as its sender would send it, and everything must be there
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.functions.testing import HttpEvent, invoke, task_event
from functions.events.on_phonepe_event.main import main as handler
from functions.jobs.generate_invoice.main import main as generate_invoice
from functions.webhooks.phonepe.main import main as webhook
from tests.billing.test_documents import Payment
from tests.functions.events.ordering import body, push
from tests.functions.jobs.test_generate_invoice import mails
from tests.functions.webhooks.test_phonepe import BODY, signed
from tests.path.dying import handled
from tools.sample_data import Billing

if TYPE_CHECKING:
    from tests.stack import Stack

pytestmark = pytest.mark.timeout(300)  # dozens of processes start and die in each


async def test_killed_at_any_step_the_payment_takes_effect_once(stack: Stack) -> None:
    deaths, survived = 0, False
    while not survived:
        checkout = await stack.checkout()
        await checkout.pay()
        event = push(body(checkout))
        survived = await handled("functions.events.on_phonepe_event.main", event, deaths)
        for _ in range(2):  # once because it was not acknowledged, once more because that happens too
            assert (await invoke(handler, event)).status == 204
        state = stack.state(checkout)
        assert (state["status"], state["plan"]) == ("completed", "growth"), f"killed at step {deaths}"
        assert (state["events"], state["unpublished"]) == (2, 0), f"killed at step {deaths}"
        deaths += not survived
    assert deaths >= 16
    once = {message.attributes["ce-id"] for message in await stack.published("payment-completed")}
    assert len(once) == deaths + 1


async def test_killed_at_any_step_the_webhook_loses_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEPE_WEBHOOK_MODE", "hmac")
    monkeypatch.setenv("PHONEPE_WEBHOOK_SECRETS", "k1:old")
    event = HttpEvent(body=BODY, headers=signed())
    deaths = 0
    while not await handled("functions.webhooks.phonepe.main", event, deaths):
        assert (await invoke(webhook, event)).status == 200  # PhonePe was not answered, so it comes again
        assert {message.attributes["ce-id"] for message in await stack.published("webhook-phonepe")} == {
            "phonepe/checkout.order.completed/RF-1/COMPLETED"
        }
        deaths += 1
    assert deaths == 2  # before the publish, and between it and the answer


async def test_killed_at_any_step_the_invoice_and_its_mail_are_there_once(stack: Stack) -> None:
    await stack.make_buckets()
    deaths, survived = 0, False
    while not survived:
        paid = Payment(stack, Billing())
        arguments = {"workspace_id": paid.workspace_id, "period": "2026-11", "payment_id": paid.id}
        event = task_event("generate_invoice", scope=paid.id, period="2026-11", arguments=arguments)
        survived = await handled("functions.jobs.generate_invoice.main", event, deaths)
        stack.rows("update job_runs set lease_until = clock_timestamp() where status = 'running'")  # as waiting would
        for _ in range(2):
            assert (await invoke(generate_invoice, event)).status == 200
        (row,) = stack.rows("select seq, pdf_sha256, mailed_at from invoices where payment_id = %s", paid.id)
        assert row["seq"] == deaths + 1, f"killed at step {deaths}"  # no number was lost
        assert (row["pdf_sha256"] is None, row["mailed_at"] is None) == (False, False), f"killed at step {deaths}"
        assert len(await mails(stack, paid)) == 1, f"killed at step {deaths}"
        deaths += not survived
    assert deaths >= 40
