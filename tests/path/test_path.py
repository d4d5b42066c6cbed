"""The path of a payment over real sockets, from the provider to the live listener, the invoice and the mail."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import httpx
import pytest

from common import clock
from common.billing.fiscal import billing_date, fiscal_year
from tests.serving import serving
from tools.local.environment import WebhookMode
from tools.manifest_model import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.gateways import RunningGateway
    from tests.stack import Stack
    from tools.local.cloud import LocalCloud
    from tools.sample_data import Checkout

WEBHOOK = "webhook-phonepe"
FISCAL_YEAR = fiscal_year(billing_date(clock.now()))


async def until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := await asyncio.to_thread(condition):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in time")


def completed(stack: Stack, checkout: Checkout) -> Callable[[], Any]:
    return lambda: (
        state if (state := stack.state(checkout))["status"] == "completed" and not state["unpublished"] else None
    )


def invoiced(stack: Stack, checkout: Checkout) -> Callable[[], Any]:
    return lambda: state if (state := stack.state(checkout))["mailed_at"] and not state["unpublished"] else None


async def mails(email: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=os.environ["RESEND_BASE_URL"]) as client:
        found: list[dict[str, Any]] = (await client.get("/api/mails", params={"to": email})).json()["mails"]
    return found


async def refund(checkout: Checkout, url: str, amount: int) -> int:
    """Have PhonePe give money back, as from its dashboard, and tell of it; what the webhook was answered."""
    async with httpx.AsyncClient(base_url=os.environ["PHONEPE_BASE_URL"], timeout=30) as client:
        made = await client.post(
            f"/_local/orders/{checkout.merchant_order_id}/refunds", json={"amount": amount, "state": "COMPLETED"}
        )
        told = await client.post(
            f"/_local/refunds/{made.json()['merchantRefundId']}/webhook",
            json={"url": url, "mode": "hmac", "event": "pg.refund.completed"},
        )
    status: int = told.json()["status"]
    return status


@pytest.mark.parametrize("mode", get_args(WebhookMode))
async def test_a_paid_order_becomes_an_active_subscription(
    stack: Stack,
    cloud: LocalCloud,
    gateways: Callable[[], AbstractContextManager[RunningGateway]],
    monkeypatch: pytest.MonkeyPatch,
    mode: WebhookMode,
) -> None:
    from common.events.outbox import live_channel
    from common.redis.pubsub import PubSubService

    for name in ("PHONEPE_WEBHOOK_MODE", "PHONEPE_WEBHOOK_SECRETS"):
        monkeypatch.setenv(name, cloud.environment(mode)[name])
    checkout = await stack.checkout()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await PubSubService().subscribe(live_channel(checkout.workspace_id), heard.put)
    await checkout.pay()
    with gateways() as gateway:
        other: WebhookMode = "basic" if mode == "hmac" else "hmac"
        assert await checkout.send_webhook(f"{gateway.url}/{WEBHOOK}", mode=other) == 401
        assert await checkout.send_webhook(f"{gateway.url}/{WEBHOOK}") == 200
        state = await until(completed(stack, checkout))
    assert (state["plan"], state["subscription_status"], state["events"]) == ("growth", "active", 2)
    live = {(await asyncio.wait_for(heard.get(), 5))["type"] for _ in range(2)}
    assert live == {"raptorflow.payment.completed.v1", "raptorflow.subscription.activated.v1"}
    assert len(await stack.published("payment-completed")) == 1


async def test_ten_webhooks_at_once_are_one_activation_one_invoice_and_one_mail(
    stack: Stack, gateway: RunningGateway
) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    answers = await asyncio.gather(*(checkout.send_webhook(f"{gateway.url}/{WEBHOOK}") for _ in range(10)))
    assert answers == [200] * 10
    state = await until(invoiced(stack, checkout))
    await asyncio.sleep(2)  # time for every copy to be handled
    assert stack.state(checkout) == state
    assert (state["events"], state["invoice_number"]) == (2, f"RF/{FISCAL_YEAR}/00001")
    assert len(stack.rows("select 1 from invoices")) == 1
    (mail,) = await mails(state["email"])
    assert mail["attachments"][0]["filename"] == f"RF-{FISCAL_YEAR}-00001.pdf"
    assert len({m.attributes["ce-id"] for m in await stack.published("payment-completed")}) == 1


async def test_a_forged_webhook_is_401_and_leaves_no_trace(stack: Stack, gateway: RunningGateway) -> None:
    checkout = await stack.checkout()
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{gateway.url}/{WEBHOOK}",
            json={"event": "checkout.order.completed", "payload": {"vpa": "someone@upi"}},
            headers={"x-phonepe-checksum-signature": "ab" * 32},
        )
    assert answer.status_code == 401
    assert stack.state(checkout)["status"] == "pending"
    log = await until(lambda: "401" in gateway.lines() and gateway.lines())
    assert "someone@upi" not in log
    assert "abab" not in log


async def test_a_pending_order_is_delivered_again_until_it_is_paid(stack: Stack, gateway: RunningGateway) -> None:
    checkout = await stack.checkout()
    await checkout.send_webhook(f"{gateway.url}/{WEBHOOK}", event="checkout.order.completed")
    await until(lambda: "PENDING" in gateway.lines())
    assert stack.state(checkout)["plan"] == "free"
    await checkout.pay()
    await until(completed(stack, checkout))


async def test_another_merchants_order_ends_as_a_dead_letter_row(stack: Stack, gateway: RunningGateway) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", merchantId="SOMEBODY")
    await checkout.send_webhook(f"{gateway.url}/{WEBHOOK}")
    rows = await until(lambda: stack.rows("select reason, function, source_topic from dead_letters"))
    assert rows == [
        {"reason": "merchant_mismatch", "function": "event-on-phonepe-event", "source_topic": "webhook-phonepe"}
    ]
    assert stack.state(checkout)["status"] == "pending"


async def test_an_order_that_stays_in_doubt_ends_as_a_dead_letter_row(stack: Stack, cloud: LocalCloud) -> None:
    checkout = await stack.checkout()
    quick = {
        "attempts": 5,
        "minimum_backoff": timedelta(milliseconds=20),
        "maximum_backoff": timedelta(milliseconds=50),
    }
    async with serving(load(Path("functions.json")), cloud, stack, **quick) as url:
        assert await checkout.send_webhook(f"{url}/{WEBHOOK}", event="checkout.order.completed") == 200
        (letter,) = await until(lambda: stack.rows("select * from dead_letters"))
    assert (letter["reason"], letter["function"]) == ("attempts_exhausted", "event-on-phonepe-event")
    assert (letter["attempts"], letter["status"]) == (5, "open")
    assert json.loads(letter["payload"])["payload"]["merchantOrderId"] == checkout.merchant_order_id
    assert stack.state(checkout)["status"] == "pending"


async def test_what_was_acknowledged_survives_the_death_of_every_instance(
    stack: Stack, gateways: Callable[..., Any]
) -> None:
    checkout = await stack.checkout()
    with gateways() as first:
        await checkout.send_webhook(f"{first.url}/{WEBHOOK}", event="checkout.order.completed")
        await until(lambda: "PENDING" in first.lines())  # held by Pub/Sub, not by us
        first.kill()
    await checkout.pay()
    with gateways():
        await until(completed(stack, checkout), seconds=25)
    assert stack.state(checkout)["events"] == 2


async def test_events_that_overtake_each_other_end_the_same(stack: Stack, gateway: RunningGateway) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    for event in ("checkout.order.failed", "checkout.order.completed", "pg.order.completed"):
        assert await checkout.send_webhook(f"{gateway.url}/{WEBHOOK}", event=event) == 200
    state = await until(invoiced(stack, checkout))
    await until(lambda: len(stack.rows("select 1 from webhook_events")) == 3)
    assert stack.state(checkout) == state
    assert state["events"] == 2


async def test_two_refunds_end_in_two_credit_notes_and_three_mails(stack: Stack, gateway: RunningGateway) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    assert await checkout.send_webhook(f"{gateway.url}/{WEBHOOK}") == 200
    paid = await until(invoiced(stack, checkout))
    for amount in (51_371, 353_882 - 51_371):
        assert await refund(checkout, f"{gateway.url}/{WEBHOOK}", amount) == 200
    await until(lambda: len(stack.rows("select 1 from credit_notes where mailed_at is not null")) == 2)
    state = stack.state(checkout)
    assert (state["status"], state["plan"], state["subscription_status"]) == ("refunded", "free", "cancelled")
    notes = stack.rows("select number, total_paise, pdf_object from credit_notes order by seq")
    assert [note["number"] for note in notes] == [f"RC/{FISCAL_YEAR}/{number:05}" for number in (1, 2)]
    assert sorted(note["total_paise"] for note in notes) == [51_371, 353_882 - 51_371]
    assert all(note["pdf_object"] for note in notes)
    assert len(await mails(paid["email"])) == 3
