"""Figures of the server, and what is left of them where INFO says little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from common.errors import Unavailable
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from common.redis.errors import CommandRefused
from common.redis.info import Section
from common.redis.metrics import RedisMetrics

if TYPE_CHECKING:
    from tests.redis.counting import Count


async def test_the_figures_are_the_servers(client: RedisClient) -> None:
    for number in range(7):
        await client.set(f"k{number}", "x" * 100_000)
    await client.execute("CONFIG", "RESETSTAT")
    await client.get("k1")
    await client.get("missing")
    report = await RedisMetrics().get_metrics()
    assert report.keys_count == 7
    assert report.memory_used is not None
    assert 700_000 < report.memory_used < 100_000_000
    assert report.connections is not None
    assert report.connections >= 1
    assert report.ops_per_second is not None
    assert report.ops_per_second >= 0
    assert (report.hits, report.misses, report.evicted_keys) == (1, 1, 0)
    assert report.problems == ()


async def test_they_cost_four_commands_in_one_round_trip(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        await RedisMetrics(client).get_metrics()
    assert spent.by_name == {"info": 3, "dbsize": 1}, spent
    assert spent.round_trips == 1, spent


async def test_our_own_counters_are_a_copy(client: RedisClient) -> None:
    before = (await RedisMetrics().get_metrics()).client
    await client.ping()
    after = (await RedisMetrics().get_metrics()).client
    assert before.connections == after.connections == 1
    assert (after.writes - before.writes, after.commands - before.commands) == (2, 5)


async def test_what_one_part_does_not_tell_is_none_and_the_rest_is_there(client: RedisClient) -> None:
    pipeline = RedisClient.pipeline

    async def partly(self: RedisClient, steps: Any, **options: Any) -> list[Any]:
        replies = await pipeline(self, steps, **options)
        return [CommandRefused("not here"), "# Clients\r\n\r\n", replies[2], CommandRefused("nor here")]

    with patch.object(RedisClient, "pipeline", partly):
        report = await RedisMetrics().get_metrics()
    assert (report.memory_used, report.keys_count, report.connections) == (None, None, None)
    assert report.ops_per_second is not None
    assert report.problems == (
        "INFO memory failed: not here",
        "INFO clients says nothing",
        "DBSIZE failed: nor here",
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("# Memory\r\nused_memory:1024\r\n", 1024),
        ("used_memory:0", 0),
        (" used_memory : 7 \n", 7),
        ("used_memory:7:8", None),
        ("used_memory:-1", None),
        ("used_memory:1.5", None),
        ("used_memory:1e3", None),
        ("used_memory:²", None),
        ("used_memory:", None),
        ("used_memory", None),
        ("#used_memory:1", None),
        ("used_memory:" + "9" * 5000, None),
        ("", None),
        ("OK", None),
    ],
)
def test_odd_answers_are_no_numbers(text: str, number: int | None) -> None:
    section = Section.read("memory", text)
    assert section.number("used_memory") == number
    assert bool(section.problem) == (not section.fields)


async def test_no_answer_is_unavailable() -> None:
    nobody = RedisClient(RedisConfig("redis://127.0.0.1:1/0", retries=0))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await RedisMetrics(nobody).get_metrics()
    await nobody.aclose()


async def test_the_double_tells_what_it_can(mock_redis: RedisClient) -> None:
    await mock_redis.set("k", "v")
    report = await RedisMetrics().get_metrics()
    assert report.keys_count == 1
    assert all("INFO" in problem for problem in report.problems)
