"""Names of keys: no part can pretend to be two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInput
from common.redis import keys
from common.redis.errors import InvalidKey

if TYPE_CHECKING:
    from collections.abc import Callable

PATTERNS = {
    keys.cache("w", "k"): "raptorflow:cache:w:k",
    keys.cache_generation("w"): "raptorflow:cachegen:w",
    keys.cache_tag("w", "t"): "raptorflow:cachetag:w:t",
    keys.rate("u", "/api/v1/muse/generate"): "raptorflow:rate:u:/api/v1/muse/generate",
    keys.rate_window("u", "a:b", 60_000): "raptorflow:rate:u:a%3Ab:60000",
    keys.queue("agent_tasks"): "raptorflow:queue:{agent_tasks}",
    keys.queue("agent_tasks", "r"): "raptorflow:queue:{agent_tasks}:r",
    keys.queue_progress("agent_tasks", "j"): "raptorflow:queue:{agent_tasks}:p:j",
    keys.pubsub("events/w"): "raptorflow:pubsub:events/w",
    keys.stream("events/w"): "raptorflow:stream:events/w",
    keys.lock("r"): "raptorflow:lock:{r}",
    keys.lock_fence("r"): "raptorflow:lock:{r}:f",
    keys.usage("w", "2026-11"): "raptorflow:usage:{w}:2026-11",
    keys.usage_event("w", "run/1"): "raptorflow:usage:{w}:e:run/1",
    keys.budget("u", "2026-11"): "raptorflow:budget:u:2026-11",
    keys.session_index("u"): "raptorflow:session:u:u",
    keys.session_epoch("u"): "raptorflow:session:e:u",
    keys.approval("g"): "raptorflow:approval:g",
    keys.prefs("w"): "raptorflow:prefs:w",
    keys.limits("u"): "raptorflow:limits:u",
    keys.event("on_x", "e"): "raptorflow:evt:on_x:e",
    keys.metrics("agents"): "raptorflow:metrics:agents",
    keys.restoring("i"): "raptorflow:restoring:i",
}


def test_the_patterns() -> None:
    assert list(PATTERNS) == list(PATTERNS.values())


@pytest.mark.parametrize("build", [keys.session, keys.scratch])
def test_a_session_id_is_not_readable_in_its_key(build: Callable[[str], str]) -> None:
    assert "secret" not in build("secret")
    assert build("secret") == build("secret") != build("other")


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_two_different_things_never_share_a_key(a: str, b: str, c: str, d: str) -> None:
    try:
        first, second = keys.cache(a, b), keys.cache(c, d)
    except InvalidKey as error:
        assert "surrogates" in str(error)
        return
    assert (first == second) == ((a, b) == (c, d))
    assert first.count(":") == 3
    assert not set("{}*?[] \n") & set(first)
    assert len(first) < 500


@given(st.text(min_size=1))
def test_a_name_cannot_end_its_hash_tag(name: str) -> None:
    try:
        key = keys.queue(name, "r")
    except InvalidKey:
        return
    assert key.count("{") == key.count("}") == 1
    assert key.startswith("raptorflow:queue:{")
    assert key.endswith("}:r")


def test_a_long_part_is_hashed_and_nobody_can_write_the_hash_himself() -> None:
    long = keys.cache("w", "x" * 4096)
    assert len(long) < 120
    assert keys.cache("w", long.rpartition(":")[2]) != long


@pytest.mark.parametrize(
    ("part", "message"),
    [("", "empty"), ("x" * 4097, "at most 4096"), ("\ud800", "surrogates"), (7, "text, not int"), (b"x", "not bytes")],
)
@pytest.mark.parametrize("build", [keys.session, keys.queue, keys.lock_fence, lambda part: keys.cache("w", part)])
def test_what_is_no_name_is_refused(build: Callable[[Any], str], part: Any, message: str) -> None:
    with pytest.raises(InvalidKey, match=message) as refused:
        build(part)
    assert isinstance(refused.value, InvalidInput)
