"""A CloudEvent as a Pub/Sub message (CloudEvents' Pub/Sub protocol binding, binary mode).

The context attributes become message attributes prefixed ``ce-``, the data stays the data. Beside them travels
``traceparent``, so that one trace runs from the webhook to the mail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.functions import context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def message_attributes(
    *,
    id: str,  # noqa: A002 - the attribute's name in CloudEvents
    source: str,
    type: str,  # noqa: A002
    time: datetime,
    subject: str = "",
    extensions: Mapping[str, str] | None = None,
    traceparent: str | None = None,
) -> dict[str, str]:
    """The attributes of the message whose data is the event's, as JSON text.

    They are what `cloudevents.conversion.to_binary` makes of the same event, in a tenth of the time: a test holds the
    two equal.

    Args:
        id: stable over every delivery of the same occurrence; with ``source`` it is the key to deduplicate by.
        source: who says so.
        type: ``raptorflow.<entity>.<verb>.v1``.
        time: when it happened.
        subject: the row or order it is about.
        extensions: more attributes; lower-case letters and digits only, as CloudEvents demands.
        traceparent: the trace to continue; the running invocation's where none is given.
    """
    said = {"id": id, "source": source, "type": type, "time": time.isoformat(), **(extensions or {})}
    if subject:
        said["subject"] = subject
    headers = {"content-type": "application/json", "ce-specversion": "1.0"}
    headers |= {f"ce-{name}": value for name, value in said.items()}
    running = context.current()
    trace = traceparent or (running.traceparent if running else "")
    return {**headers, **({"traceparent": trace} if trace else {})}
