"""The last resting place of a delivery: nothing is ever acknowledged and forgotten.

A dropped delivery is published, whole, to the dead-letter topic with the reason in its attributes; Pub/Sub itself sends
there what failed too often. ``functions/events/on_dead_letter`` writes both to the table ``dead_letters``, from where
they are listed and replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.functions.resources import DEAD_LETTER_TOPIC

if TYPE_CHECKING:
    from common.functions.delivery import Delivery
    from common.functions.outcomes import Drop

REASON = "dead-letter-reason"
DETAIL = "dead-letter-detail"
FUNCTION = "dead-letter-function"
TOPIC = "dead-letter-topic"
SUBSCRIPTION = "dead-letter-subscription"
MESSAGE_ID = "dead-letter-message-id"
ATTEMPTS = "dead-letter-attempts"
_MAX_ATTRIBUTE_BYTES = 1024


async def publish(delivery: Delivery, *, function: str, topic: str, drop: Drop) -> None:
    """Put ``delivery`` on the dead-letter topic.

    Raises:
        Unavailable: it could not be published; the delivery must then not be acknowledged.
    """
    from common.infrastructure.pubsub_publisher import pubsub_publisher  # noqa: PLC0415 - costs more than a cold start

    notes = {
        REASON: drop.reason,
        DETAIL: drop.detail,
        FUNCTION: function,
        TOPIC: topic,
        SUBSCRIPTION: delivery.subscription,
        MESSAGE_ID: delivery.message_id,
        ATTEMPTS: str(delivery.attempt or ""),
    }
    attributes = {**delivery.attributes, **{key: _bounded(value) for key, value in notes.items() if value}}
    await pubsub_publisher().publish(DEAD_LETTER_TOPIC, delivery.data, attributes=attributes)


def _bounded(value: str) -> str:
    return value.encode()[:_MAX_ATTRIBUTE_BYTES].decode(errors="ignore")
