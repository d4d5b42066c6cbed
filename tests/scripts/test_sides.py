"""The sides of a comparison do what they are asked, and what they cost is counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from common.redis.config import RedisConfig
from scripts.benchmarks.side import started
from tests.redis.servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.benchmarks.side import Comparison

MODULES = ("plain", "stream", "ours_cache", "ours_connection", "ours_sessions")


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    folder = tmp_path_factory.mktemp("sides")
    server = RedisServer("valkey", folder)
    server.start()
    with started(RedisConfig(server.full_url), dict.fromkeys(MODULES, sys.executable), folder) as made:
        yield made
    server.kill()


@pytest.mark.parametrize(
    ("side", "operation", "commands", "round_trips"),
    [
        ("plain", "pair", 4, 2),
        ("plain", "hit", 1, 1),
        ("ours_cache", "hit", 1, 1),
        ("ours_cache", "store", 1, 1),
        ("ours_cache", "clear", 1, 1),
        ("stream", "enqueue", 1, 1),
        ("stream", "work", 2, 2),
        ("ours_connection", "connect", 2, 1),
        ("ours_sessions", "read", 1, 1),
        ("ours_sessions", "update", 3, 1),
    ],
)
def test_what_one_operation_costs(
    sides: Comparison, side: str, operation: str, commands: int, round_trips: int
) -> None:
    begin = (
        ("stream", "begin"),
        ("stream", "enqueue"),
        ("plain", "store"),
        ("ours_cache", "store"),
        ("ours_sessions", "begin"),
    )
    for module, before in begin:
        sides[module].do(before, count=32)
    sides[side].do(operation)
    spent = sides.spent(lambda: sides[side].do(operation, count=10))
    assert (spent.commands, spent.round_trips) == (10 * commands, 10 * round_trips), spent


def test_several_tasks_share_the_numbers(sides: Comparison) -> None:
    sides["plain"].do("store", tasks=4, count=10)  # opens their connections
    spent = sides.spent(lambda: sides["plain"].do("store", tasks=4, count=10))
    assert spent.by_name == {"set": 10}


def test_a_side_that_fails_says_why(sides: Comparison, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="KeyError: 'nothing'"),
        started(sides.redis, {"plain": sys.executable}, tmp_path) as other,
    ):
        other["plain"].do("nothing")
    with pytest.raises(RuntimeError, match="No module named"), started(sides.redis, {"none": sys.executable}, tmp_path):
        pass
