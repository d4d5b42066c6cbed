"""What may be stored, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.redis.errors import InvalidTTL, InvalidValue
from common.redis.values import milliseconds, to_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back_equal(value: Any) -> None:
    try:
        text = to_json(value, "a value")
    except InvalidValue as error:
        assert "surrogates" in str(error)
        return
    assert json.loads(text) == value


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), float("-inf"), object(), b"x", {1: 2}, (1, 2), {"a": {None: 1}}, {1, 2}, deep(100_000)]
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue, match="a job's data must be JSON"):
        to_json(value, "a job's data")


def test_what_is_too_large_is_refused_and_told_where_to_go() -> None:
    assert to_json("€" * 10, "a value", limit=32)
    with pytest.raises(InvalidValue, match="at most 31 bytes, this has 32: store it elsewhere"):
        to_json("€" * 10, "a value", limit=31)


def test_seconds_are_rounded_up() -> None:
    assert [milliseconds(value) for value in (0.0001, 1, 1.5, 3600)] == [1, 1000, 1500, 3_600_000]


@pytest.mark.parametrize("value", [0, -0.001, float("nan"), float("inf"), 10**9, True, "5", None])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(InvalidTTL, match="a lease must be"):
        milliseconds(value, "a lease")
