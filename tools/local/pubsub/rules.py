"""What the service accepts: names, messages, subscriptions, update masks. Limits: cloud.google.com/pubsub/quotas."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import grpc
from google.pubsub_v1 import types

from tools.local.pubsub.errors import unimplemented
from tools.local.pubsub.filters import FilterError, compile_filter
from tools.local.rpc import ServiceError, invalid

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.protobuf.message import Message as ProtoMessage  # type: ignore[import-untyped] # has no stubs

MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_MESSAGES = 1000
MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1024
MAX_ORDERING_KEY_BYTES = 1024
DEFAULT_ACK_DEADLINE = 10
DEFAULT_DELIVERY_ATTEMPTS = 5

MUTABLE = {
    "Topic": frozenset({"labels", "message_storage_policy", "kms_key_name", "message_retention_duration"}),
    "Subscription": frozenset(
        {
            "push_config",
            "ack_deadline_seconds",
            "retain_acked_messages",
            "message_retention_duration",
            "labels",
            "expiration_policy",
            "dead_letter_policy",
            "retry_policy",
            "enable_exactly_once_delivery",
        }
    ),
}
"""Message type to the fields that an update mask may name."""

_QUOTAS = "Refer to https://cloud.google.com/pubsub/quotas for more information."
_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}")
_DAY = timedelta(days=1)
_UNSUPPORTED = {
    "Topic": ("schema_settings", "ingestion_data_source_settings", "message_transforms"),
    "Subscription": ("bigquery_config", "cloud_storage_config", "bigtable_config", "message_transforms"),
}

ProtoT = TypeVar("ProtoT", bound="ProtoMessage")


def check_name(name: str, collection: str) -> None:
    """Raise INVALID_ARGUMENT unless ``name`` is ``projects/P/<collection>/ID``."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] != collection:
        raise invalid(
            f"Invalid resource name given (name={name}). Refer to "
            "https://cloud.google.com/pubsub/docs/admin#resource_names for more information."
        )


def check_publish(request: Any) -> None:
    """Raise INVALID_ARGUMENT for a batch or a message that the service refuses; a plain ``PublishRequest``."""
    if request.ByteSize() > MAX_REQUEST_BYTES:
        raise invalid(f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes.")
    if not request.messages:
        raise invalid("The value for message_count is too small. You passed 0 in the request, but the minimum is 1.")
    if len(request.messages) > MAX_MESSAGES:
        raise invalid(
            f"The value for message_count is too large. You passed {len(request.messages)} in the request, but the "
            f"maximum value is {MAX_MESSAGES}."
        )
    for message in request.messages:
        _check_message(message)


def _check_message(message: Any) -> None:
    attributes = dict(message.attributes)
    if not message.data and not attributes:
        raise invalid(
            "One or more messages in the publish request is empty. Each message must contain either non-empty data, or "
            "at least one attribute."
        )
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(
            f"A message in the request has too many attributes. It has {len(attributes)}, but the maximum allowed is "
            f"{MAX_ATTRIBUTES}. {_QUOTAS}"
        )
    for key, value in attributes.items():
        if not key:
            raise invalid("A message in the request has an attribute with an empty key.")
        for part, text, allowed in (("key", key, MAX_KEY_BYTES), ("value", value, MAX_VALUE_BYTES)):
            size = len(text.encode())
            if size > allowed:
                raise invalid(
                    f'The attribute "{key}" in the request has a {part} that is too long. The length is {size} '
                    f"characters, but the maximum allowed is {allowed}. {_QUOTAS}"
                )
    size = len(message.ordering_key.encode())
    if size > MAX_ORDERING_KEY_BYTES:
        raise invalid(
            f"A message in the request has an ordering key that is too long. The length is {size} characters, but the "
            f"maximum allowed is {MAX_ORDERING_KEY_BYTES}. {_QUOTAS}"
        )


def check_topic(topic: types.Topic) -> None:
    """Raise unless the topic can be created; UNIMPLEMENTED for what is not emulated."""
    check_name(topic.name, "topics")
    _check_supported(types.Topic.pb(topic))


def complete(subscription: types.Subscription) -> types.Subscription:
    """The subscription as the service would store it: checked, with its defaults filled in.

    Raises:
        ServiceError: INVALID_ARGUMENT or OUT_OF_RANGE, with the value and its bounds; UNIMPLEMENTED.
    """
    pb = types.Subscription.pb(subscription)
    _check_supported(pb)
    stored = types.Subscription(subscription)
    _check_push(stored)
    try:
        compile_filter(stored.filter)
    except FilterError as error:
        raise invalid(f"Invalid filter (filter={stored.filter}): {error}.") from None
    stored.ack_deadline_seconds = stored.ack_deadline_seconds or DEFAULT_ACK_DEADLINE
    check_ack_deadline("ack_deadline_seconds", stored.ack_deadline_seconds)
    if not pb.HasField("message_retention_duration"):
        stored.message_retention_duration = 7 * _DAY
    _check_bounds("message_retention_duration", stored.message_retention_duration, timedelta(minutes=10), 31 * _DAY)
    if pb.HasField("retry_policy"):
        _complete_retry(stored.retry_policy, types.RetryPolicy.pb(subscription.retry_policy))
    if pb.HasField("dead_letter_policy"):
        _complete_dead_letter(stored.dead_letter_policy)
    stored.state = types.Subscription.State.ACTIVE  # type: ignore[assignment] # proto-plus types members as int
    return stored


def check_ack_deadline(field: str, seconds: int, minimum: int = 10) -> None:
    """Raise INVALID_ARGUMENT unless it is within ``minimum`` and 600 seconds."""
    if not minimum <= seconds <= 600:
        raise invalid(
            f"The value for {field} is out of bounds. You passed {seconds} in the request, but the value must be "
            f"between {minimum} and 600."
        )


def merge(stored: ProtoT, update: ProtoT, paths: Collection[str]) -> ProtoT:
    """A copy of ``stored`` with the fields named by the mask ``paths`` taken from ``update``.

    Raises:
        ServiceError: INVALID_ARGUMENT: no mask, an unknown field, or one that cannot change.
    """
    kind = stored.DESCRIPTOR.name
    if not paths:
        raise invalid(
            f"The update_mask in the Update{kind}Request must be set, and must contain a non-empty paths list."
        )
    for path in paths:
        if path not in stored.DESCRIPTOR.fields_by_name:
            raise invalid(
                f"Invalid update_mask provided in the Update{kind}Request: '{path}' is not a known {kind} field. Note "
                "that field paths must be of the form 'push_config' rather than 'pushConfig'."
            )
        if path not in MUTABLE[kind]:
            raise invalid(
                f"Invalid update_mask provided in the Update{kind}Request: the '{path}' field in the {kind} is not "
                "mutable."
            )
    masked = type(stored)()
    masked.CopyFrom(update)
    for descriptor, _value in masked.ListFields():
        if descriptor.name not in paths:
            masked.ClearField(descriptor.name)
    merged = type(stored)()
    merged.CopyFrom(stored)
    for path in paths:
        merged.ClearField(path)
    merged.MergeFrom(masked)
    return cast("ProtoT", merged)


def _check_supported(pb: ProtoMessage) -> None:
    kind = pb.DESCRIPTOR.name
    used = {descriptor.name for descriptor, _value in pb.ListFields()}
    for name in _UNSUPPORTED[kind]:
        if name in used:
            raise unimplemented(f"{kind}.{name}")


def _check_push(subscription: types.Subscription) -> None:
    endpoint = subscription.push_config.push_endpoint
    if not endpoint:
        return
    url = urlsplit(endpoint)
    # the service insists on https; a function on this machine has no certificate
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise invalid(
            f"Invalid push endpoint given (endpoint={endpoint}). Refer to "
            "https://cloud.google.com/pubsub/docs/subscriber#create for more information."
        )
    if subscription.enable_exactly_once_delivery:
        raise invalid("Exactly-once delivery is not supported by push subscriptions.")


def _complete_retry(policy: types.RetryPolicy, given: ProtoMessage) -> None:
    if not given.HasField("minimum_backoff"):
        policy.minimum_backoff = timedelta(seconds=10)
    if not given.HasField("maximum_backoff"):
        policy.maximum_backoff = timedelta(seconds=600)
    for name in ("minimum_backoff", "maximum_backoff"):
        _check_bounds(name, getattr(policy, name), timedelta(0), timedelta(seconds=600))
    if policy.maximum_backoff < policy.minimum_backoff:
        raise invalid(
            f"The value for maximum_backoff is too small. You passed {_seconds(policy.maximum_backoff)} in the "
            f"request, but the minimum value is {_seconds(policy.minimum_backoff)}."
        )


def _complete_dead_letter(policy: types.DeadLetterPolicy) -> None:
    check_name(policy.dead_letter_topic, "topics")
    policy.max_delivery_attempts = attempts = policy.max_delivery_attempts or DEFAULT_DELIVERY_ATTEMPTS
    for wrong, complaint in (
        (attempts < 5, "too small. You passed {} in the request, but the minimum value is 5."),
        (attempts > 100, "too large. You passed {} in the request, but the maximum value is 100."),
    ):
        if wrong:
            sentence = f"The value for max_delivery_attempts is {complaint.format(attempts)}"
            raise ServiceError(grpc.StatusCode.OUT_OF_RANGE, sentence)


def _check_bounds(field: str, value: timedelta, minimum: timedelta, maximum: timedelta) -> None:
    if not minimum <= value <= maximum:
        raise invalid(
            f"The value for {field} is out of bounds. You passed {_seconds(value)} in the request, but the value must "
            f"be between {_seconds(minimum)} and {_seconds(maximum)}."
        )


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():g}s"
