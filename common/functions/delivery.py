"""One Pub/Sub message, whichever of the three shapes it arrived in.

- wrapped push: the service's JSON envelope, what our own subscriptions send;
- CloudEvent: the same envelope inside one (Eventarc), binary or structured;
- unwrapped push: the message's data as the body, everything else in headers.

The framework's own ``cloud_event`` signature loses the delivery attempt, the ordering key and the subscription, and its
asynchronous variant answers 400 to a push; hence this parser. A message that we published carries a CloudEvent in its
attributes (the Pub/Sub protocol binding: ``ce-id``, ``ce-type`` …, the data as the data).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common.errors import InvalidInput
from common.functions.jsonbody import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudevents.http import CloudEvent

    from common.functions.request import Request

MESSAGE_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
_UNWRAPPED = "x-goog-pubsub-"
_ATTEMPT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message and the event it carries.

    Attributes:
        id: the CloudEvent's id, stable over every redelivery; the message id where the message carries no CloudEvent.
        source: the CloudEvent's source.
        type: the CloudEvent's type; `MESSAGE_PUBLISHED` where the message carries none.
        subject: what the event is about, empty if unnamed.
        time: when it happened, else when it was published.
        data: the message's data, unparsed.
        attributes: all of the message's attributes.
        message_id: unique within the topic.
        publish_time: when Pub/Sub took it.
        subscription: its full name, ``projects/P/subscriptions/S``.
        attempt: how often this message was tried, from 1; None where the subscription has no dead-letter policy.
        ordering_key: empty if unordered.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: bytes
    attributes: Mapping[str, str]
    message_id: str
    publish_time: datetime
    subscription: str
    attempt: int | None = None
    ordering_key: str = ""

    def json(self) -> dict[str, Any]:
        """The data as a JSON object.

        Raises:
            InvalidInput: it is none.
        """
        return parse_object(self.data)


def parse_delivery(request: Request) -> Delivery:
    """Read the message out of a push request.

    Raises:
        InvalidInput: the request has none of the three shapes.
    """
    headers = request.headers
    if f"{_UNWRAPPED}message-id" in headers:
        return _unwrapped(request)
    if "ce-specversion" in headers or headers.get("content-type", "").startswith("application/cloudevents+json"):
        event = _cloudevent(dict(headers), request.body)
        return _wrapped(parse_object(event.data or b""))
    return _wrapped(parse_object(request.body))


def _wrapped(envelope: Any) -> Delivery:
    message = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(message, dict):
        raise InvalidInput("the body is not a Pub/Sub push envelope: it has no message")
    attributes = message.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise InvalidInput("the message's attributes must be strings")
    attempt = envelope.get("deliveryAttempt")
    return _delivery(
        data=_base64(message.get("data") or ""),
        attributes=attributes,
        message_id=message.get("messageId") or message.get("message_id"),
        publish_time=message.get("publishTime") or message.get("publish_time"),
        subscription=envelope.get("subscription"),
        attempt=attempt if isinstance(attempt, int) else None,
        ordering_key=message.get("orderingKey") or "",
    )


def _unwrapped(request: Request) -> Delivery:
    headers = request.headers
    attempt = headers.get(f"{_UNWRAPPED}delivery-attempt", "")
    return _delivery(
        data=request.body,
        # The sender's attributes come among the transport's headers: take those that we publish, and no credentials.
        attributes={key: value for key, value in headers.items() if key.startswith("ce-") or key == "traceparent"},
        message_id=headers.get(f"{_UNWRAPPED}message-id"),
        publish_time=headers.get(f"{_UNWRAPPED}publish-time"),
        subscription=headers.get(f"{_UNWRAPPED}subscription-name"),
        attempt=int(attempt) if _ATTEMPT.fullmatch(attempt) else None,
        ordering_key=headers.get(f"{_UNWRAPPED}ordering-key", ""),
    )


def _delivery(
    *,
    data: bytes,
    attributes: Mapping[str, str],
    message_id: Any,
    publish_time: Any,
    subscription: Any,
    attempt: int | None,
    ordering_key: str,
) -> Delivery:
    if not isinstance(message_id, str) or not message_id:
        raise InvalidInput("the message has no messageId")
    published = _time(publish_time)
    if "ce-specversion" in attributes:
        event = _cloudevent(attributes, data)
        identity = (str(event["id"]), str(event["source"]), str(event["type"]), str(event.get("subject") or ""))
        happened = _time(event["time"]) if event.get("time") else published
    else:
        identity = (message_id, "//pubsub.googleapis.com/", MESSAGE_PUBLISHED, "")
        happened = published
    return Delivery(
        *identity,
        time=happened,
        data=data,
        attributes=attributes,
        message_id=message_id,
        publish_time=published,
        subscription=subscription if isinstance(subscription, str) else "",
        attempt=attempt,
        ordering_key=ordering_key,
    )


def _cloudevent(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    from cloudevents.exceptions import GenericException  # noqa: PLC0415 - the framework has loaded it by then
    from cloudevents.http import from_http  # noqa: PLC0415

    try:
        # Text in a structured event, bytes in a binary one.
        return from_http(headers, body, data_unmarshaller=lambda data: data.encode() if isinstance(data, str) else data)
    except (GenericException, ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"the CloudEvent is malformed ({type(error).__name__})") from None


def _base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidInput("the message's data is not base64") from None


def _time(text: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):  # the first and the last day are out of range in another zone
        raise InvalidInput("the message's time is not RFC 3339") from None
