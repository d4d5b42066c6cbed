"""One message in three shapes is the same delivery."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from common.errors import InvalidInput
from common.functions.delivery import MESSAGE_PUBLISHED, Delivery, parse_delivery
from common.functions.request import Request

ATTRIBUTES = {
    "ce-specversion": "1.0",
    "ce-id": "phonepe/checkout.order.completed/RF-1/COMPLETED",
    "ce-source": "//raptorflow/webhooks/phonepe/phonepe",
    "ce-type": "raptorflow.webhook.phonepe.v1",
    "ce-time": "2026-11-23T06:30:00+00:00",
    "ce-subject": "RF-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
DATA = b'{"state": "COMPLETED"}'
SUBSCRIPTION = "projects/p/subscriptions/s"
PUBLISHED = "2026-11-23T06:30:01.250Z"


def envelope(**message: Any) -> dict[str, Any]:
    fields = {
        "data": base64.b64encode(DATA).decode(),
        "attributes": ATTRIBUTES,
        "messageId": "42",
        "publishTime": PUBLISHED,
        "orderingKey": "k",
        **message,
    }
    return {
        "message": {key: value for key, value in fields.items() if value is not None},
        "subscription": SUBSCRIPTION,
        "deliveryAttempt": 3,
    }


def request(body: Any, headers: dict[str, str] | None = None) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", "/", "", Headers(headers or {"content-type": "application/json"}), raw)


EXPECTED = Delivery(
    id=ATTRIBUTES["ce-id"],
    source=ATTRIBUTES["ce-source"],
    type=ATTRIBUTES["ce-type"],
    subject="RF-1",
    time=datetime(2026, 11, 23, 6, 30, tzinfo=UTC),
    data=DATA,
    attributes=ATTRIBUTES,
    message_id="42",
    publish_time=datetime(2026, 11, 23, 6, 30, 1, 250_000, tzinfo=UTC),
    subscription=SUBSCRIPTION,
    attempt=3,
    ordering_key="k",
)
EVENTARC = {
    "ce-specversion": "1.0",
    "ce-id": "42",
    "ce-source": "//pubsub.googleapis.com/projects/p/topics/t",
    "ce-type": MESSAGE_PUBLISHED,
    "content-type": "application/json",
}


def test_wrapped_push() -> None:
    assert parse_delivery(request(envelope())) == EXPECTED


def test_wrapped_push_in_the_other_spelling() -> None:
    assert parse_delivery(request(envelope(messageId=None, message_id="42"))) == EXPECTED


def test_binary_cloudevent() -> None:
    assert parse_delivery(request(envelope(), EVENTARC)) == EXPECTED


def test_structured_cloudevent() -> None:
    body = {
        "specversion": "1.0",
        "id": "42",
        "source": EVENTARC["ce-source"],
        "type": MESSAGE_PUBLISHED,
        "datacontenttype": "application/json",
        "data": envelope(),
    }
    assert parse_delivery(request(body, {"content-type": "application/cloudevents+json; charset=utf-8"})) == EXPECTED


def test_unwrapped_push_keeps_no_credentials() -> None:
    headers = {
        **ATTRIBUTES,
        "authorization": "Bearer secret",
        "x-goog-pubsub-message-id": "42",
        "x-goog-pubsub-publish-time": PUBLISHED,
        "x-goog-pubsub-subscription-name": SUBSCRIPTION,
        "x-goog-pubsub-ordering-key": "k",
        "x-goog-pubsub-delivery-attempt": "3",
    }
    assert parse_delivery(request(DATA, headers)) == EXPECTED


@pytest.mark.parametrize("attempt", ["", "-1", "many", "9" * 5000])
def test_a_count_that_is_none_is_left_out(attempt: str) -> None:
    headers = {
        "x-goog-pubsub-message-id": "42",
        "x-goog-pubsub-publish-time": PUBLISHED,
        "x-goog-pubsub-delivery-attempt": attempt,
    }
    assert parse_delivery(request(DATA, headers)).attempt is None


def test_a_message_that_carries_no_cloudevent_is_known_by_its_own_id() -> None:
    delivery = parse_delivery(request(envelope(attributes=None)))
    assert (delivery.id, delivery.type, delivery.time) == ("42", MESSAGE_PUBLISHED, EXPECTED.publish_time)


def test_a_message_may_have_attributes_only() -> None:
    assert parse_delivery(request(envelope(data=None))).data == b""


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        ({}, "no message"),
        ({"message": []}, "no message"),
        (envelope(messageId=None), "messageId"),
        (envelope(publishTime="yesterday"), "RFC 3339"),
        (envelope(publishTime=None), "RFC 3339"),
        (envelope(data="%%%"), "base64"),
        (envelope(data=[1]), "base64"),
        (envelope(attributes={"a": 1}), "strings"),
        (envelope(attributes=["a"]), "strings"),
        (envelope(attributes={"ce-specversion": "1.0"}), "CloudEvent"),
        (envelope(attributes={**ATTRIBUTES, "ce-specversion": "9"}), "CloudEvent"),
        (envelope(attributes={**ATTRIBUTES, "ce-time": "noon"}), "RFC 3339"),
        (envelope(attributes={**ATTRIBUTES, "ce-time": "0001-01-01T00:00:00+05:30"}), "RFC 3339"),
        (envelope(publishTime="9999-12-31T23:59:59-05:00"), "RFC 3339"),
    ],
)
def test_anything_else_is_invalid_input(body: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        parse_delivery(request(body))


headers = st.dictionaries(
    st.sampled_from([*EVENTARC, "x-goog-pubsub-message-id", "x-goog-pubsub-publish-time"]),
    st.sampled_from([*EVENTARC.values(), "application/cloudevents+json", "42", PUBLISHED, ""]),
)


@given(st.binary(max_size=100) | st.just(json.dumps(envelope()).encode()), headers)
def test_no_request_raises_anything_but_invalid_input(body: bytes, sent: dict[str, str]) -> None:
    try:
        parse_delivery(request(body, sent or {"a": "b"}))
    except InvalidInput:
        pass
