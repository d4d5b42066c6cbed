"""What a process remembers: until a moment, and not without bound."""

from __future__ import annotations

from datetime import timedelta

from common import clock
from common.redis.remembered import Remembered
from tests.redis.timeline import START

SECOND = timedelta(seconds=1)


def test_a_value_holds_until_its_moment_and_not_before_it_was_known() -> None:
    memory: Remembered[str, int] = Remembered(10)
    with clock.frozen(START):
        memory.put("k", 1, until=START + SECOND)
        assert memory.get("k") == 1
        assert memory.get("other") is None
    with clock.frozen(START + SECOND):
        assert memory.get("k") is None
    with clock.frozen(START):
        memory.put("k", 2, until=START + SECOND)
    with clock.frozen(START - SECOND):
        assert memory.get("k") is None
    with clock.frozen(START):
        assert memory.get("k") is None, "once unknown it stays so"
        memory.put("k", 3, until=START + SECOND)
        memory.forget("k")
        memory.forget("k")
        assert memory.get("k") is None


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    memory: Remembered[int, str] = Remembered(2)
    with clock.frozen(START):
        for number in (1, 2):
            memory.put(number, "x", until=START + SECOND)
        memory.get(1)
        memory.put(3, "x", until=START + SECOND)
        assert [memory.get(number) for number in (1, 2, 3)] == ["x", None, "x"]
