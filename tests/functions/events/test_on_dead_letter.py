"""Dead letters, ours and the service's, become one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.functions.dead_letter import ATTEMPTS, DETAIL, FUNCTION, MESSAGE_ID, REASON, SUBSCRIPTION, TOPIC
from common.functions.testing import invoke, pubsub_event
from functions.events.on_dead_letter.main import main

if TYPE_CHECKING:
    import pytest

    from tests.stack import Stack

EVENT = {
    "ce-specversion": "1.0",
    "ce-id": "phonepe/checkout.order.completed/RF-1/COMPLETED",
    "ce-source": "//raptorflow/webhooks/phonepe/phonepe",
    "ce-type": "raptorflow.webhook.phonepe.v1",
    "ce-time": "2026-11-23T06:30:00+00:00",
}
DROPPED = EVENT | {
    REASON: "merchant_mismatch",
    DETAIL: "the order belongs to another merchant",
    FUNCTION: "event-on-phonepe-event",
    TOPIC: "webhook-phonepe",
    SUBSCRIPTION: "projects/p/subscriptions/event-on-phonepe-event",
    MESSAGE_ID: "7",
}
EXHAUSTED = EVENT | {
    "CloudPubSubDeadLetterSourceSubscription": "event-on-phonepe-event",
    "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
    "CloudPubSubDeadLetterSourceDeliveryCount": "30",
    "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-11-23T06:30:01Z",
}


async def test_a_dropped_delivery_is_kept_whole(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    assert (await invoke(main, pubsub_event(b"\x00body", DROPPED))).status == 204
    (row,) = stack.rows("select * from dead_letters")
    assert (row["reason"], row["detail"]) == ("merchant_mismatch", "the order belongs to another merchant")
    assert (row["function"], row["source_topic"]) == ("event-on-phonepe-event", "webhook-phonepe")
    assert (row["event_id"], row["event_type"]) == (EVENT["ce-id"], EVENT["ce-type"])
    assert bytes(row["payload"]) == b"\x00body"
    assert row["attributes"] == DROPPED
    assert row["status"] == "open"
    assert any(vars(record).get("fields", {}).get("alert") == "dead_letter" for record in caplog.records)


async def test_what_the_service_gave_up_is_kept_too(stack: Stack) -> None:
    assert (await invoke(main, pubsub_event(b"{}", EXHAUSTED, attempt=None))).status == 204
    (row,) = stack.rows("select reason, function, attempts from dead_letters")
    assert row == {"reason": "attempts_exhausted", "function": "event-on-phonepe-event", "attempts": 30}


async def test_the_same_letter_twice_is_one_row_and_another_death_is_another(stack: Stack) -> None:
    for attributes in (DROPPED, DROPPED, DROPPED | {MESSAGE_ID: "8"}, EXHAUSTED, EXHAUSTED):
        assert (await invoke(main, pubsub_event(b"{}", attributes))).status == 204
    assert len(stack.rows("select 1 from dead_letters")) == 3


async def test_a_letter_of_no_known_sender_is_kept(stack: Stack) -> None:
    hostile = {"ce-workspaceid": "not a uuid", "note": "nul \x00 inside", REASON: "a\x00b", ATTEMPTS: "9" * 1000}
    assert (await invoke(main, pubsub_event(b"", hostile, message_id="m-1"))).status == 204
    (row,) = stack.rows("select reason, function, workspace_id, attempts from dead_letters")
    assert row == {"reason": "ab", "function": "unknown", "workspace_id": None, "attempts": None}


async def test_an_expired_event_reaches_the_table(stack: Stack) -> None:
    """From `Drop` in a handler, through the topic, to the row."""
    from common.functions import Delivery, serve, subscribe

    @subscribe("payment-completed", max_age=60)
    async def on_old(delivery: Delivery) -> None:
        raise AssertionError("too old to be handled")

    assert (await invoke(serve(on_old), pubsub_event(b"{}", EVENT, message_id="9"))).status == 204
    (message,) = await stack.published("dead-letter")
    assert (await invoke(main, pubsub_event(message.data, dict(message.attributes)))).status == 204
    (row,) = stack.rows("select reason, function, source_topic from dead_letters")
    assert row == {"reason": "expired", "function": "event-on-old", "source_topic": "payment-completed"}
