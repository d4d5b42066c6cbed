"""Which period a tick of the clock stands for: the key under which its run is claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from common.clock import BILLING_TZ

if TYPE_CHECKING:
    from datetime import datetime


def period_of(schedule: str, instant: datetime) -> str:
    """The period of a schedule's tick, in the billing time zone.

    As coarse as the schedule: a month, an ISO week, a day, else the minute. A late or repeated tick of the same period
    is then the same run.

    Args:
        schedule: five cron fields.
        instant: when the tick was due.

    Example:
        >>> period_of("30 1 * * *", datetime(2026, 11, 23, 20, 0, tzinfo=UTC))
        '2026-11-24'
    """
    local = instant.astimezone(ZoneInfo(BILLING_TZ))
    _, hour, day, month, weekday = schedule.split(" ")
    if not hour.isdecimal():
        return f"{local:%Y-%m-%dT%H:%M}"
    if day.isdecimal() and weekday == "*":
        return f"{local:%Y-%m-%d}" if month.isdecimal() else f"{local:%Y-%m}"
    if day == "*" and weekday.isalpha():
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"
    return f"{local:%Y-%m-%d}"
