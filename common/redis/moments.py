"""Instants as they stand in Redis: whole milliseconds; and the day on which something is billed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from common.clock import BILLING_TZ

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970, rounded down; exact, which a float is not."""
    return (instant - EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def billing_day(instant: datetime) -> date:
    """The day in the billing time zone.

    Example:
        >>> billing_day(datetime(2026, 11, 30, 20, 0, tzinfo=UTC))
        datetime.date(2026, 12, 1)
    """
    return instant.astimezone(ZoneInfo(BILLING_TZ)).date()
