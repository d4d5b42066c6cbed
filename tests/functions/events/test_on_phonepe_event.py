"""What a confirmed PhonePe order does to our rows: once, however often, late or in whatever order it is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from common import clock
from common.functions.testing import invoke
from functions.events.on_phonepe_event.main import main
from tests.functions.events.ordering import NOON, TRACE, body, deliver, event_status, push
from tests.stack import data_of

if TYPE_CHECKING:
    import pytest

    from tests.stack import Stack


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
    assert completed[0].attributes["traceparent"].startswith(f"00-{TRACE}-")
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


async def test_an_event_too_large_for_live_pages_costs_only_the_live_copy(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.redis.pubsub.MAX_MESSAGE_BYTES", 10)
    checkout = await stack.checkout()
    await checkout.pay()
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["unpublished"] == 0


async def test_postgres_being_down_is_a_503_and_nothing_is_lost(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    with monkeypatch.context() as broken:
        broken.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        assert (await deliver(checkout)).status == 503
    from common.lifecycle import aclose_all

    await aclose_all()
    assert (await deliver(checkout)).status == 204
