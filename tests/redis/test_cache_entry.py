"""The format of a cached value: reads back equal, is bounded, and what is damaged is said to be so."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.redis.cache_entry import Body, CorruptEntry, Entry
from common.redis.values import MAX_VALUE_BYTES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
GENERATIONS = st.dictionaries(st.text(), st.text(), max_size=3).map(lambda tags: {**tags, "": "g"})


def entry(body: Body, **fields: Any) -> Entry:
    return Entry({"": "g", "tag": "h"}, body, delta=0.25, stale_at=1796000000.5, **fields)


@settings(deadline=None, max_examples=100)
@given(value=JSON, generations=GENERATIONS, delta=st.floats(0, 1e6), stale_at=st.floats(0, 1e12))
def test_what_is_written_reads_back(value: Any, generations: dict[str, str], delta: float, stale_at: float) -> None:
    written = Entry(generations, Body.of(value), delta, stale_at, "7d1c1f2e")
    read = Entry.decode(written.encode())
    assert read == written
    assert read.body.value() == value
    assert type(read.body.value()) is type(value)


@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, 400), by=st.binary(max_size=3), cut=st.booleans(), value=st.sampled_from(["x", "ab" * 2000]))
def test_damage_is_noticed_or_does_none(at: int, by: bytes, cut: bool, value: str) -> None:
    raw = entry(Body.of({"k": value})).encode()
    damaged = raw[:at] if cut else raw[:at] + by + raw[at + len(by) :]
    try:
        Entry.decode(damaged).body.value()
    except CorruptEntry as error:
        assert value not in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"null",
        b"\x80\x04N.",  # a pickle
        b'2 json 0.0 0.0  {"":"g"}\n1',
        b'1 pickle 0.0 0.0  {"":"g"}\n1',
        b'1 json zero 0.0  {"":"g"}\n1',
        b"1 json 0.0 0.0  []\n1",
        b'1 json 0.0 0.0  {"tag":"g"}\n1',
        b'1 json 0.0 0.0  {"":7}\n1',
        b"1 json 0.0 0.0  " + b"[" * 100_000 + b"\n1",
        b'1 json 0.0 0.0  {"":"\xff"}\n1',
    ],
)
def test_what_the_cache_did_not_write_is_not_read(raw: bytes) -> None:
    with pytest.raises(CorruptEntry):
        Entry.decode(raw)


@pytest.mark.parametrize(
    "body",
    [
        Body("json", b""),
        Body("json", b"{"),
        Body("json", b"[" * 100_000),
        Body("json", b"\xff"),
        Body("zlib", b"{}"),
        Body("zlib", zlib.compress(b"{")),
        Body("zlib", zlib.compress(b'"' + b"x" * 2000 + b'"')[:-5]),
        Body("zlib", zlib.compress(b'"' + b"x" * MAX_VALUE_BYTES + b'"')),  # longer than any value may be
        Body("none", b""),
    ],
)
def test_a_damaged_value_is_not_read(body: Body) -> None:
    with pytest.raises(CorruptEntry):
        Entry.decode(entry(body).encode()).body.value()


def test_a_bomb_is_not_inflated() -> None:
    inflating = zlib.compressobj()
    bomb = b"".join([inflating.compress(b" " * 10**7) for _ in range(3)] + [inflating.flush()])
    assert len(bomb) < 50_000
    with pytest.raises(CorruptEntry):
        Body("zlib", bomb).value()


def test_large_values_are_deflated_where_that_helps() -> None:
    assert Body.of("x" * 1000).kind == "json"
    large = Body.of("x" * 100_000)
    assert large.kind == "zlib"
    assert len(large.data) < 1000
    assert large.value() == "x" * 100_000
    largest = Body.of("x" * (MAX_VALUE_BYTES - 2))
    assert largest.value() == "x" * (MAX_VALUE_BYTES - 2)
    incompressible = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(600))
    assert Body.of(incompressible).value() == incompressible


def test_a_lease_is_no_value_and_one_around_a_value_ends_with_it() -> None:
    assert not Entry({"": "g"}, lease="l").serves()
    assert entry(Body.of(1)).serves()
    assert not Entry({"": "g"}, Body.of(1), stale_at=1.0, lease="l").serves()
    assert Entry({"": "g"}, Body.of(1), stale_at=1e12, lease="l").serves()
