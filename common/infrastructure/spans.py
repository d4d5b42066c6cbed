"""A span as a log line; `tools.trace` draws the tree of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AnyValue

log = logging.getLogger("raptorflow.span")


def write_span(
    name: str,
    trace: str,
    identity: str,
    parent: str,
    seconds: float,
    attributes: Mapping[str, AnyValue],
    failure: str | None = None,
) -> None:
    """Write a span's line.

    Args:
        name: what was done.
        trace: 32 hexadecimal digits.
        identity: 16 of them, its own.
        parent: the span above it; empty for none.
        seconds: that it took.
        attributes: what more is known of it.
        failure: the kind of error that ended it.
    """
    told: dict[str, Any] = {"name": name, "parent": parent, "seconds": round(seconds, 6)}
    if failure:
        told["failed"] = failure
    if attributes:
        told["attributes"] = attributes
    because = f" failed: {failure}" if failure else ""
    fields = {"fields": {"span": told}, "trace": trace, "span_id": identity}
    log.info("%s %.1f ms%s", name, seconds * 1000, because, extra=fields)
