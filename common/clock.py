"""The only clock: business code asks `now`, a test decides what it answers."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BILLING_TZ = "Asia/Kolkata"
"""The IANA name of the zone that decides billing days, months and periods; instants are stored in UTC."""

_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return _frozen.get() or datetime.now(UTC)  # noqa: TID251 - this is the clock


@contextmanager
def frozen(instant: datetime) -> Iterator[None]:
    """Make `now` answer ``instant`` for everything called or started inside.

    Raises:
        ValueError: the instant carries no time zone.

    Example:
        >>> with frozen(datetime(2027, 1, 31, tzinfo=UTC)):
        ...     now().month
        1
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    token = _frozen.set(instant.astimezone(UTC))
    try:
        yield
    finally:
        _frozen.reset(token)
