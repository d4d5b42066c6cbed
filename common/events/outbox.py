"""Events that were committed and must still be published: the table ``event_outbox``.

::

    transaction   |-- effect -- outbox row --| commit
    publisher                                   |-- lock row -- Pub/Sub -- published_at --| commit -- Redis
    crash                                  ^A         ^B               ^C                               ^D

    A  nothing happened: the delivery comes again and does everything
    B  the effect stands, the row is unpublished: the delivery comes again, finds its work done, and drains its rows
    C  published but not marked: published once more with the same id, and every handler deduplicates by it
    D  durable handlers are told, open pages are not: they read the row when they next look
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from common import clock
from common.database import execute, fetch_all, transaction
from common.errors import Unavailable
from common.events.message import message_attributes
from common.events.types import SOURCE
from common.functions import context
from common.infrastructure.metrics import record_metric

if TYPE_CHECKING:
    from datetime import datetime

    from common.events.types import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event as it lies in the table."""

    id: str
    type: str
    topic: str
    workspace_id: str
    subject: str
    data: bytes
    created_at: datetime
    traceparent: str | None


async def insert(event: Event) -> str:
    """Write ``event`` in the bound transaction, labelled with the delivery that caused it; the row's id."""
    running = context.current()
    await execute(
        """
        insert into event_outbox (id, type, topic, workspace_id, subject, payload, cause, traceparent, created_at)
        values (%s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s)
        """,
        (
            event.id,
            event.TYPE,
            event.TOPIC,
            event.workspace_id,
            event.subject,
            event.data().decode(),
            running.event_id if running else "",
            running.traceparent if running else None,
            event.time,
        ),
    )
    return event.id


async def drain(cause: str) -> None:
    """Publish what the delivery ``cause`` left unpublished.

    Raises:
        Unavailable: not all could be published; the delivery must come again.
    """
    await _publish(
        """
        select id, type, topic, workspace_id, subject, payload, created_at, traceparent
        from event_outbox where cause = %s and published_at is null order by created_at, id for update
        """,
        cause,
    )


async def publish(ids: list[str]) -> None:
    """Publish these committed rows, where nobody did so meanwhile.

    Raises:
        Unavailable: a row could not be published; none of them is marked.
    """
    await _publish(
        """
        select id, type, topic, workspace_id, subject, payload, created_at, traceparent
        from event_outbox where id = any(%s::uuid[]) and published_at is null order by created_at, id for update
        """,
        ids,
    )


async def _publish(unpublished: LiteralString, value: str | list[str]) -> None:
    """The rows stay locked while they are published: another copy of the delivery waits, and then finds them done."""
    async with transaction():
        rows = [_row(values) for values in await fetch_all(unpublished, (value,))]
        if not rows:
            return
        results = await asyncio.gather(*(_publish_one(row) for row in rows), return_exceptions=True)
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is not None:
            raise failed
        await execute(
            "update event_outbox set published_at = %s where id = any(%s::uuid[])",
            (clock.now(), [row.id for row in rows]),
        )
    for row in rows:
        record_metric("raptorflow_events_total", 1, {"type": row.type})
    await asyncio.gather(*(_tell_listeners(row) for row in rows))


async def _publish_one(row: OutboxRow) -> None:
    from common.infrastructure.pubsub_publisher import pubsub_publisher  # noqa: PLC0415 - costs more than a cold start

    attributes = message_attributes(
        id=row.id,
        source=SOURCE,
        type=row.type,
        time=row.created_at,
        subject=row.subject,
        extensions={"workspaceid": row.workspace_id},
        traceparent=row.traceparent,
    )
    await pubsub_publisher().publish(row.topic, row.data, attributes=attributes)


async def _tell_listeners(row: OutboxRow) -> None:
    """The live copy for open pages, which may be lost: no reason to fail when Redis is down, or it is too large."""
    from common.redis.errors import InvalidValue  # noqa: PLC0415 - not before it is needed
    from common.redis.pubsub import PubSubService  # noqa: PLC0415

    message = {"id": row.id, "type": row.type, "time": row.created_at.isoformat(), "data": json.loads(row.data)}
    try:
        await PubSubService().publish(live_channel(row.workspace_id), message)
    except (Unavailable, InvalidValue) as error:
        log.warning("live listeners were not told: %s", error, extra={"fields": {"event_id": row.id}})


def live_channel(workspace_id: str) -> str:
    """The Redis channel on which a workspace's events are heard live."""
    return f"events/{workspace_id}"


def _row(values: dict[str, Any]) -> OutboxRow:
    return OutboxRow(
        id=str(values["id"]),
        type=values["type"],
        topic=values["topic"],
        workspace_id=str(values["workspace_id"]),
        subject=values["subject"],
        data=json.dumps(values["payload"], separators=(",", ":"), ensure_ascii=False).encode(),
        created_at=values["created_at"],
        traceparent=values["traceparent"],
    )
