"""Schedules that Cloud Scheduler and APScheduler read alike.

They number weekdays differently (Cloud Scheduler from Sunday, APScheduler from Monday), order ranges of weekdays by
these numbers, and combine a day of the month with a weekday differently (either, or both). What they disagree on is
refused.
"""

from __future__ import annotations

import re

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12))
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[1-9][0-9]?))?")


def complaint(schedule: str) -> str | None:
    """What is wrong with a five-field cron text; None where nothing is.

    Example:
        >>> complaint("0 9 * * MON-FRI")
        >>> complaint("0 9 * * 1")
        'write weekdays by name (MON-FRI): Cloud Scheduler counts them from Sunday, APScheduler from Monday'
    """
    fields = schedule.split(" ")
    if len(fields) != 5:
        return f"a schedule has five fields with one space between them, not {len(fields)}"
    for text, (name, lowest, highest) in zip(fields, _FIELDS, strict=False):
        if not all(_in_range(part, lowest, highest, MONTHS if name == "month" else ()) for part in text.split(",")):
            return f"{text!r} is no {name} ({lowest}-{highest})"
    if fields[2] != "*" and fields[4] != "*":
        return "give a day of the month or a weekday: Cloud Scheduler runs on either, APScheduler where both agree"
    return _weekday_complaint(fields[4])


def _in_range(part: str, lowest: int, highest: int, names: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    if found["first"] is None:
        return True
    ends = [_number(found["first"], names), _number(found["last"] or found["first"], names)]
    return lowest <= ends[0] <= ends[1] <= highest and (found["step"] is None or found["last"] is not None)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text.upper() in names:
        return names.index(text.upper()) + 1
    return int(text) if re.fullmatch(r"[0-9]{1,2}", text) else -1


def _weekday_complaint(text: str) -> str | None:
    if text == "*":
        return None
    if re.search(r"[0-9]", text):
        return "write weekdays by name (MON-FRI): Cloud Scheduler counts them from Sunday, APScheduler from Monday"
    for part in text.upper().split(","):
        ends = part.split("-")
        if len(ends) > 2 or not all(end in WEEKDAYS for end in ends):
            return f"{text!r} is no weekday (MON … SUN)"
        if len(ends) == 2 and ("SUN" in ends or WEEKDAYS.index(ends[0]) >= WEEKDAYS.index(ends[1])):
            return "ranges of weekdays lie within MON-SAT: to one scheduler SUN is the first day, to the other the last"
    return None
