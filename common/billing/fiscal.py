"""India's fiscal year, April to March, and the numbers of a series in it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from common.clock import BILLING_TZ
from common.errors import RaptorFlowError

if TYPE_CHECKING:
    from datetime import date, datetime

CAPACITY = 99_999
"""Of a series in one year: five digits, because rule 46(b) allows a number 16 characters."""
ALARM = 90_000


class SeriesExhausted(RaptorFlowError):  # noqa: N818 - a state, not a defect
    """The year's numbers are used up; a further series must be agreed with the accountant."""


def billing_date(instant: datetime) -> date:
    """The day in India, where 31 March ends at 18:30 UTC."""
    return instant.astimezone(ZoneInfo(BILLING_TZ)).date()


def fiscal_year(day: date) -> str:
    """The year that ``day`` lies in.

    Example:
        >>> fiscal_year(date(2027, 3, 31)), fiscal_year(date(2027, 4, 1))
        ('2026-27', '2027-28')
    """
    first = day.year if day.month >= 4 else day.year - 1
    return f"{first}-{(first + 1) % 100:02d}"


def document_number(series: str, fy: str, seq: int) -> str:
    """The printed number.

    Raises:
        SeriesExhausted: ``seq`` is above `CAPACITY`.

    Example:
        >>> document_number("RF", "2026-27", 1)
        'RF/2026-27/00001'
    """
    if not 1 <= seq <= CAPACITY:
        raise SeriesExhausted(f"series {series} of {fy} has no number {seq}")
    return f"{series}/{fy}/{seq:05d}"
