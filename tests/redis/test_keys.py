"""Names of keys: no part can pretend to be two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInput
from common.redis import keys

PATTERNS = {
    keys.cache("w", "k"): "raptorflow:cache:w:k",
    keys.rate("u", "/api/v1/muse/generate"): "raptorflow:rate:u:/api/v1/muse/generate",
    keys.queue("agent_tasks"): "raptorflow:queue:agent_tasks",
    keys.pubsub("events/w"): "raptorflow:pubsub:events/w",
    keys.lock("r"): "raptorflow:lock:r",
    keys.usage("w", "2026-11"): "raptorflow:usage:w:2026-11",
}


def test_the_patterns() -> None:
    assert list(PATTERNS) == list(PATTERNS.values())


def test_a_session_id_is_not_readable_in_its_key() -> None:
    assert "secret" not in keys.session("secret")
    assert keys.session("secret") == keys.session("secret") != keys.session("other")


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_two_different_things_never_share_a_key(a: str, b: str, c: str, d: str) -> None:
    try:
        first, second = keys.cache(a, b), keys.cache(c, d)
    except UnicodeEncodeError:
        return
    assert (first == second) == ((a, b) == (c, d))
    assert first.count(":") == 3
    assert not set("{}*?[] \n") & set(first)
    assert len(first) < 500


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        keys.cache("", "k")
