"""What a confirmed, doubted, repeated, late or lying PhonePe order does to our rows."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from common import clock
from common.events.message import to_message
from common.functions.testing import HttpEvent, Result, invoke, pubsub_event
from common.webhooks.phonepe import parse_event
from functions.events.on_phonepe_event.main import main
from tests.stack import Stack, data_of

if TYPE_CHECKING:
    from tools.sample_data import Checkout

IST = ZoneInfo("Asia/Kolkata")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=IST)


def body(checkout: Checkout, *, event: str = "checkout.order.completed", **changes: Any) -> bytes:
    payload = {
        "merchantId": changes.pop("merchantId", None),
        "merchantOrderId": checkout.merchant_order_id,
        "orderId": "OMO1",
        "state": "COMPLETED" if "completed" in event else "FAILED",
        "amount": 353_882,
        **changes,
    }
    return json.dumps({"event": event, "payload": {k: v for k, v in payload.items() if v is not None}}).encode()


def push(data: bytes) -> HttpEvent:
    event = parse_event(data)
    attributes = to_message(
        data,
        id=event.event_id,
        source="//raptorflow/webhooks/phonepe/phonepe",
        type="raptorflow.webhook.phonepe.v1",
        time=event.timestamp,
        subject=event.subject,
    )
    return pubsub_event(data, attributes)


async def deliver(checkout: Checkout, **changes: Any) -> Result:
    return await invoke(main, push(body(checkout, **changes)))


def event_status(stack: Stack, key: str | None = None) -> str | None:
    rows = stack.rows("select dedupe_key, status from webhook_events order by received_at")
    return next((row["status"] for row in rows if key is None or key in row["dedupe_key"]), None)


# --- the path


async def test_a_confirmed_order_activates_what_it_paid_for(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    with clock.frozen(NOON):
        assert (await deliver(checkout)).status == 204
    state = stack.state(checkout)
    assert state["status"] == "completed"
    assert state["completed_at"] == NOON
    assert (state["plan"], state["subscription_status"]) == ("growth", "active")
    assert (state["current_period_start"], state["current_period_end"]) == (NOON, NOON.replace(month=12))
    assert (state["period_start"], state["period_end"]) == (NOON, NOON.replace(month=12))
    assert (state["subscription_tier"], state["budget_limit_monthly_micro_usd"]) == ("growth", 50_000_000)
    assert event_status(stack) == "applied"
    row = stack.rows("select subscription_id, payment_method, payment_instrument from payments")[0]
    assert row["subscription_id"] is not None
    assert row["payment_method"]
    assert "vpa" not in row["payment_instrument"]


async def test_it_is_told_once_to_pubsub_and_live(stack: Stack) -> None:
    from common.events.outbox import live_channel
    from common.redis.pubsub import PubSubService

    checkout = await stack.checkout()
    await checkout.pay()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await PubSubService().subscribe(live_channel(checkout.workspace_id), heard.put)
    await deliver(checkout)
    completed, activated = await stack.published("payment-completed"), await stack.published("subscription-activated")
    assert data_of(completed[0]) == {
        "workspace_id": checkout.workspace_id,
        "payment_id": checkout.payment_id,
        "user_id": checkout.user_id,
        "total_amount_paise": 353_882,
    }
    assert completed[0].attributes["ce-type"] == "raptorflow.payment.completed.v1"
    assert completed[0].attributes["ce-workspaceid"] == checkout.workspace_id
    assert (len(completed), len(activated)) == (1, 1)
    live = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]
    assert {message["type"] for message in live} == {
        "raptorflow.payment.completed.v1",
        "raptorflow.subscription.activated.v1",
    }
    assert stack.state(checkout)["unpublished"] == 0


# --- again, at once, late


async def test_the_same_delivery_twice_is_one_activation(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    await deliver(checkout)
    once = stack.state(checkout)
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout) == once
    assert len(await stack.published("payment-completed")) == 1


async def test_ten_at_once_are_one_activation(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    results = await asyncio.gather(*(deliver(checkout) for _ in range(10)))
    assert {result.status for result in results} <= {204, 503}
    while any(result.status == 503 for result in results):  # Pub/Sub would deliver these again
        results = await asyncio.gather(*(deliver(checkout) for result in results if result.status == 503))
    state = stack.state(checkout)
    assert (state["status"], state["events"], state["unpublished"]) == ("completed", 2, 0)
    assert len(await stack.published("payment-completed")) == 1


async def test_the_same_money_told_by_another_event_is_a_duplicate(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    await deliver(checkout)
    once = stack.state(checkout)
    assert (await deliver(checkout, event="pg.order.completed")).status == 204
    assert stack.state(checkout) == once
    assert event_status(stack, "pg.order.completed") == "duplicate"


async def test_a_failure_told_after_the_success_is_ignored(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    await deliver(checkout)
    once = stack.state(checkout)
    await checkout.pay(state="FAILED")
    assert (await deliver(checkout, event="checkout.order.failed")).status == 204
    assert stack.state(checkout) == once
    assert await stack.published("payment-failed") == []


async def test_a_success_after_a_failed_attempt_completes(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="FAILED")
    await deliver(checkout, event="checkout.order.failed")
    assert stack.state(checkout)["status"] == "failed"
    assert len(await stack.published("payment-failed")) == 1
    await checkout.pay()
    await deliver(checkout)
    assert stack.state(checkout)["status"] == "completed"


async def test_a_failure_webhook_of_an_order_that_was_paid_meanwhile_completes_it(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    await deliver(checkout, event="checkout.order.failed")
    assert stack.state(checkout)["status"] == "completed"


async def test_money_is_never_too_late(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    with clock.frozen(NOON):
        late = push(body(checkout, timestamp=int((NOON - timedelta(days=60)).timestamp() * 1000)))
        assert (await invoke(main, late)).status == 204
    assert stack.state(checkout)["current_period_start"] == NOON


async def test_what_was_committed_but_not_published_is_published_by_the_redelivery(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.lifecycle import aclose_all

    checkout = await stack.checkout()
    await checkout.pay()
    await aclose_all()
    with monkeypatch.context() as broken:
        broken.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
        assert (await deliver(checkout)).status == 503
        await aclose_all()
    state = stack.state(checkout)
    assert (state["status"], state["unpublished"]) == ("completed", 2)
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["unpublished"] == 0
    assert len(await stack.published("payment-completed")) == 1


async def test_redis_being_down_costs_only_the_live_copy(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", "redis://127.0.0.1:1/0")
    checkout = await stack.checkout()
    await checkout.pay()
    assert (await deliver(checkout)).status == 204
    state = stack.state(checkout)
    assert (state["status"], state["unpublished"]) == ("completed", 0)


async def test_postgres_being_down_is_a_503_and_nothing_is_lost(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    with monkeypatch.context() as broken:
        broken.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        assert (await deliver(checkout)).status == 503
    from common.lifecycle import aclose_all

    await aclose_all()
    assert (await deliver(checkout)).status == 204


# --- doubt


async def test_pending_at_phonepe_activates_nothing_and_comes_again(stack: Stack) -> None:
    checkout = await stack.checkout()
    assert (await deliver(checkout)).status == 503
    state = stack.state(checkout)
    assert (state["status"], state["plan"], state["events"]) == ("pending", "free", 0)
    assert event_status(stack) is None
    await checkout.pay()
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["status"] == "completed"


@pytest.mark.parametrize("mode", ["error", "malformed"])
async def test_a_broken_status_api_activates_nothing_and_is_asked_again(stack: Stack, mode: str) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", fail=mode)
    assert (await deliver(checkout)).status == 503
    assert stack.state(checkout)["status"] == "pending"
    await checkout.pay(state="COMPLETED", fail=None)
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["status"] == "completed"


async def test_an_unreachable_status_api_activates_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    monkeypatch.setenv("PHONEPE_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PHONEPE_AUTH_URL", "http://127.0.0.1:1/v1/oauth/token")
    assert (await deliver(checkout)).status == 503
    assert stack.state(checkout)["status"] == "pending"


@pytest.mark.parametrize("where", ["webhook", "status API"])
async def test_another_merchants_order_is_dropped_with_an_alert(
    stack: Stack, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", **({"merchantId": "SOMEBODY"} if where == "status API" else {}))
    lie = {"merchantId": "SOMEBODY"} if where == "webhook" else {}
    assert (await deliver(checkout, **lie)).status == 204
    assert stack.state(checkout)["status"] == "pending"
    letters = await stack.published("dead-letter")
    assert letters[0].attributes["dead-letter-reason"] == "merchant_mismatch"
    assert letters[0].attributes["dead-letter-topic"] == "webhook-phonepe"
    assert any(vars(record).get("fields", {}).get("alert") == "merchant_mismatch" for record in caplog.records)


@pytest.mark.parametrize("where", ["webhook", "status API"])
async def test_another_amount_is_a_mismatch_that_activates_nothing(
    stack: Stack, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", **({"amount": 100} if where == "status API" else {}))
    assert (await deliver(checkout, **({"amount": 100} if where == "webhook" else {}))).status == 204
    assert event_status(stack) == "amount_mismatch"
    state = stack.state(checkout)
    assert (state["status"], state["plan"], state["events"]) == ("pending", "free", 0)
    assert any(vars(record).get("fields", {}).get("alert") == "amount_mismatch" for record in caplog.records)


async def test_an_invented_amount_does_not_burn_the_real_payments_key(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    await deliver(checkout, amount=100)
    await deliver(checkout)
    assert stack.state(checkout)["status"] == "completed"
    assert event_status(stack) == "applied"


async def test_an_order_that_is_not_ours_is_recorded_and_alerted(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    stack.rows("delete from payments")
    assert (await deliver(checkout)).status == 204
    assert event_status(stack) == "unknown_order"
    assert any(vars(record).get("fields", {}).get("alert") == "unknown_order" for record in caplog.records)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("checkout.transaction.attempt.failed", "ignored"),
        ("subscription.paused", "ignored"),
        ("something.new", "ignored"),
    ],
)
async def test_other_events_are_recorded_and_change_nothing(stack: Stack, event: str, status: str) -> None:
    checkout = await stack.checkout()
    assert (await deliver(checkout, event=event)).status == 204
    assert event_status(stack) == status
    assert stack.state(checkout)["status"] == "pending"


async def test_a_malformed_body_becomes_a_dead_letter(stack: Stack) -> None:
    assert (await invoke(main, pubsub_event(b"not json"))).status == 204
    letters = await stack.published("dead-letter")
    assert (letters[0].data, letters[0].attributes["dead-letter-reason"]) == (b"not json", "malformed")


# --- periods


@pytest.mark.parametrize(
    ("paid_at", "cycle", "ends_at"),
    [
        (datetime(2027, 1, 31, 12, 0, tzinfo=IST), "monthly", datetime(2027, 2, 28, 12, 0, tzinfo=IST)),
        (datetime(2028, 1, 31, 12, 0, tzinfo=IST), "monthly", datetime(2028, 2, 29, 12, 0, tzinfo=IST)),
        (datetime(2028, 2, 29, 12, 0, tzinfo=IST), "annual", datetime(2029, 2, 28, 12, 0, tzinfo=IST)),
        # 31 January in India is still 30 January in UTC: the billing time zone decides
        (datetime(2027, 1, 31, 1, 0, tzinfo=IST), "monthly", datetime(2027, 2, 28, 1, 0, tzinfo=IST)),
        (datetime(2026, 12, 31, 23, 30, tzinfo=IST), "monthly", datetime(2027, 1, 31, 23, 30, tzinfo=IST)),
    ],
)
async def test_a_period_is_a_calendar_month_or_year_in_india(
    stack: Stack, paid_at: datetime, cycle: str, ends_at: datetime
) -> None:
    checkout = await stack.checkout(billing_cycle=cycle)
    await checkout.pay()
    total = 3_538_820 if cycle == "annual" else 353_882
    with clock.frozen(paid_at):
        await deliver(checkout, amount=total)
    assert stack.state(checkout)["current_period_end"] == ends_at.astimezone(UTC)


async def test_renewing_early_loses_no_day(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay()
    with clock.frozen(NOON):
        await deliver(first)
    second = await stack.checkout(again=first)
    await second.pay()
    with clock.frozen(NOON + timedelta(days=27)):
        await deliver(second)
    state = stack.state(second)
    assert state["current_period_start"] == NOON
    assert state["current_period_end"] == datetime(2027, 1, 23, 12, 0, tzinfo=IST)
    assert state["period_start"] == datetime(2026, 12, 23, 12, 0, tzinfo=IST)


async def test_renewing_late_starts_now(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay()
    with clock.frozen(NOON):
        await deliver(first)
    second = await stack.checkout(again=first)
    await second.pay()
    with clock.frozen(datetime(2027, 2, 1, 9, 0, tzinfo=IST)):
        await deliver(second)
    state = stack.state(second)
    assert state["current_period_start"] == datetime(2027, 2, 1, 9, 0, tzinfo=IST)
    assert state["current_period_end"] == datetime(2027, 3, 1, 9, 0, tzinfo=IST)


async def test_an_upgrade_in_mid_period_starts_now(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay()
    with clock.frozen(NOON):
        await deliver(first)
    second = await stack.checkout(again=first, plan="enterprise")
    await second.pay()
    upgraded_at = NOON + timedelta(days=10)
    with clock.frozen(upgraded_at):
        await deliver(second, amount=1_179_882)
    state = stack.state(second)
    assert (state["plan"], state["subscription_tier"], state["budget_limit_monthly_micro_usd"]) == (
        "enterprise",
        "enterprise",
        200_000_000,
    )
    assert state["current_period_start"] == upgraded_at
    assert state["current_period_end"] == datetime(2027, 1, 3, 12, 0, tzinfo=IST)


async def test_a_failed_renewal_is_past_due_and_a_failed_first_payment_is_not(stack: Stack) -> None:
    first = await stack.checkout()
    await first.pay(state="FAILED")
    await deliver(first, event="checkout.order.failed")
    assert (stack.state(first)["plan"], stack.state(first)["subscription_status"]) == ("free", "active")
    paid = await stack.checkout(again=first)
    await paid.pay()
    await deliver(paid)
    renewal = await stack.checkout(again=first)
    await renewal.pay(state="FAILED")
    await deliver(renewal, event="checkout.order.failed")
    state = stack.state(renewal)
    assert (state["plan"], state["subscription_status"], state["subscription_tier"]) == ("growth", "past_due", "growth")


async def test_two_payments_of_one_user_at_once_both_count(stack: Stack) -> None:
    first = await stack.checkout()
    second = await stack.checkout(again=first)
    await first.pay()
    await second.pay()
    with clock.frozen(NOON):
        results = await asyncio.gather(deliver(first), deliver(second))
    assert [result.status for result in results] == [204, 204]
    assert stack.state(first)["current_period_end"] == datetime(2027, 1, 23, 12, 0, tzinfo=IST)


async def test_another_workspace_is_never_touched(stack: Stack) -> None:
    bystander, checkout = await stack.checkout(), await stack.checkout()
    before = stack.state(bystander)
    await checkout.pay()
    await deliver(checkout)
    assert stack.state(bystander) == before
