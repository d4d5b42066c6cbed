"""Schedules, and decorators read as data."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.decorators import FIRST, MAY_BE_ZERO, OPTIONAL, PARAMETERS, read_arguments
from tools.schedule import complaint


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "*/5 * * * *", "0 3 1 * *", "0,30 9-17/2 * JAN-MAR,DEC *", "45 4 * * SUN", "0 9 * * MON-FRI,SUN"],
)
def test_a_schedule_that_both_schedulers_read_alike(schedule: str) -> None:
    assert complaint(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * *", "five fields"),
        ("*  * * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("60 * * * *", "'60' is no minute (0-59)"),
        ("* 24 * * *", "'24' is no hour (0-23)"),
        ("* * 0 * *", "'0' is no day of the month (1-31)"),
        ("* * * 13 *", "'13' is no month (1-12)"),
        ("* * * FOO *", "'FOO' is no month (1-12)"),
        ("9-5 * * * *", "'9-5' is no minute"),
        ("5/10 * * * *", "'5/10' is no minute"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("1,,2 * * * *", "'1,,2' is no minute"),
        ("* * * * 1-5", "write weekdays by name"),
        ("* * * * */2", "write weekdays by name"),
        ("* * * * MO", "'MO' is no weekday"),
        ("* * * * MON-WED-FRI", "is no weekday"),
        ("* * * * SAT-SUN", "ranges of weekdays lie within MON-SAT"),
        ("* * * * FRI-MON", "ranges of weekdays lie within MON-SAT"),
        ("0 0 1 * MON", "give a day of the month or a weekday"),
    ],
)
def test_a_schedule_that_is_none_or_reads_differently(schedule: str, expected: str) -> None:
    assert expected in (complaint(schedule) or "")


VALUES: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(min_size=1),
    int: st.integers(min_value=1),
    bool: st.booleans(),
    list: st.lists(st.text(min_size=1), unique=True),
}


@st.composite
def decorators(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(PARAMETERS)))
    optional = {
        key: VALUES[kind]
        | (st.none() if key in OPTIONAL else st.nothing())
        | (st.just(0) if key in MAY_BE_ZERO else st.nothing())
        for key, kind in PARAMETERS[name].items()
        if key != FIRST.get(name)
    }
    required = {FIRST[name]: VALUES[str]} if name in FIRST else {}
    return name, draw(st.fixed_dictionaries(required, optional=optional))


@given(decorators(), st.booleans())
def test_any_literal_is_read_back(decorator: tuple[str, dict[str, Any]], by_position: bool) -> None:
    name, values = decorator
    first = FIRST.get(name)
    parts = [
        ascii(value) if by_position and key == first else f"{key}={value!a}"
        for key, value in sorted(values.items(), key=lambda item: item[0] != first)
    ]
    problems: list[Any] = []
    node = ast.parse(f"{name}({', '.join(parts)})", mode="eval").body
    read = read_arguments("main.py", name, node, problems)
    assert problems == []
    assert read == {key: value for key, value in values.items() if value is not None}
