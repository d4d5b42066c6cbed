"""Strangers' JSON: bounded, strict, one exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInput
from common.functions.jsonbody import MAX_DEPTH, parse_json, parse_object

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_json_can_say_is_read_back(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_invalid_input(body: bytes) -> None:
    try:
        parse_json(body)
    except InvalidInput as error:
        assert str(error).startswith("the body ")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"{", "line 1, column 2"),
        (b"\xff\xfe", "UTF-8"),
        (b'"\\ud800"', "UTF-8"),
        (b"NaN", "NaN is not a JSON number"),
        (b"-Infinity", "not a JSON number"),
        (b"1e999", "too large"),
        (b"9" * 5000, "too many digits"),
        (b"0." + b"1" * 5000, "too many digits"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_hostile_documents_are_refused_in_one_sentence(body: bytes, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        parse_json(body)


def test_the_deepest_allowed_document_is_read() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_an_object_is_asked_for_and_a_list_refused() -> None:
    assert parse_object(b'{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(InvalidInput, match="object"):
        parse_object(b"[1]")


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_json(b'{"vpa": "someone@upi", ')
    assert "someone" not in str(caught.value)
