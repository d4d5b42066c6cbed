"""Dead letters become rows: what a handler dropped, and what Pub/Sub gave up delivering."""

from __future__ import annotations

import json
import logging
import re
from uuid import UUID

from common import clock, ids
from common.database import execute
from common.functions import Delivery, dead_letter, serve, subscribe

log = logging.getLogger(__name__)

EXHAUSTED = "attempts_exhausted"
"""The reason of a letter that Pub/Sub itself sent here, after the subscription's last attempt."""
_SERVICE = "CloudPubSubDeadLetterSource"
_COUNT = re.compile(r"[0-9]{1,9}")


@subscribe("dead-letter", secrets=["database-url"], timeout=60)
async def on_dead_letter(delivery: Delivery) -> None:
    """Write a dead letter to the table ``dead_letters``, once, and raise the alert that a person answers."""
    attributes = delivery.attributes
    by_service = f"{_SERVICE}Subscription" in attributes
    subscription = attributes.get(f"{_SERVICE}Subscription" if by_service else dead_letter.SUBSCRIPTION, "")
    reason = EXHAUSTED if by_service else attributes.get(dead_letter.REASON, "unknown")
    attempts = attributes.get(f"{_SERVICE}DeliveryCount" if by_service else dead_letter.ATTEMPTS, "")
    function = attributes.get(dead_letter.FUNCTION, "") or subscription.rpartition("/")[2]
    # The service keeps no id of the message that died: its publish time tells two deaths of one event apart.
    died = attributes.get(f"{_SERVICE}TopicPublishTime") or attributes.get(dead_letter.MESSAGE_ID, delivery.message_id)
    await execute(
        """
        insert into dead_letters
            (id, dedupe_key, source_topic, function, reason, detail, attempts,
             event_type, event_id, payload, attributes, workspace_id, failed_at, recorded_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s)
        on conflict (dedupe_key) do nothing
        """,
        (
            ids.new_id(),
            _text(f"{subscription}/{delivery.id}/{died}"),
            _text(attributes.get(dead_letter.TOPIC, "")) or None,
            _text(function) or "unknown",
            _text(reason),
            _text(attributes.get(dead_letter.DETAIL, "")),
            int(attempts) if _COUNT.fullmatch(attempts) else None,
            _text(delivery.type),
            _text(delivery.id),
            delivery.data,
            _text(json.dumps(dict(attributes), ensure_ascii=False).replace("\\u0000", "")),
            _workspace(attributes.get("ce-workspaceid", "")),
            delivery.publish_time,
            clock.now(),
        ),
    )
    log.error(
        "dead letter of %s: %s", function, reason, extra={"fields": {"alert": "dead_letter", "event_id": delivery.id}}
    )


def _text(value: str) -> str:
    """Postgres stores any text but a NUL."""
    return value.replace("\x00", "")


def _workspace(value: str) -> str | None:
    try:
        return str(UUID(value))
    except ValueError:
        return None


main = serve(on_dead_letter)
