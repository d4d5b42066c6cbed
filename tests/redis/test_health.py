"""Whether Redis is well: what a probe is told, and what it costs to ask."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from common.errors import Misconfigured, Unavailable
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from common.redis.health import HealthStatus, RedisHealthChecker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer


@pytest.fixture
async def nobody() -> AsyncIterator[RedisClient]:
    """A client of a server that is not there."""
    made = RedisClient(RedisConfig("redis://127.0.0.1:1/0", retries=0))
    yield made
    await made.aclose()


@pytest.fixture
def mute(client: RedisClient) -> Iterator[None]:
    """The server answers everything but INFO, as its access list may have it."""
    pipeline = RedisClient.pipeline

    async def partly(self: RedisClient, steps: Any, **options: Any) -> list[Any]:
        replies = await pipeline(self, steps, **options)
        refused = Misconfigured("Redis refuses the credentials (NOPERM)")
        return [refused if step[0] == "INFO" else reply for step, reply in zip(steps, replies, strict=True)]

    with patch.object(RedisClient, "pipeline", partly):
        yield


async def test_what_it_costs(client: RedisClient, count: Count) -> None:
    checker = RedisHealthChecker()
    async with count() as liveness:
        assert await checker.check_connection()
    async with count() as latency:
        await checker.check_latency()
    async with count() as memory:
        await checker.check_memory()
    async with count() as report:
        await checker.report()
    assert (liveness.commands, liveness.round_trips) == (1, 1), liveness
    assert (latency.commands, latency.round_trips) == (5, 5), latency
    assert (memory.commands, memory.round_trips) == (1, 1), memory
    assert (report.commands, report.round_trips) == (3, 1), report


async def test_all_is_well(client: RedisClient) -> None:
    await client.set("k", "v")
    report = await RedisHealthChecker(client).report()
    assert report.status is HealthStatus.OK
    assert report.keys == 1
    assert report.problems == ()
    assert report.latency is not None
    assert 0 < report.latency < 1000
    assert report.memory is not None
    assert report.memory.percent is not None
    assert 0 < report.memory.percent < 80
    assert report.memory.quota == 256_000_000


async def test_latency_is_of_five_round_trips(client: RedisClient) -> None:
    moments = iter([0, 0.001, 1, 1.009, 2, 2.003, 3, 3.002, 4, 4.005])
    with patch("common.redis.health.time.perf_counter", lambda: next(moments)):
        latency = await RedisHealthChecker().measure_latency()
    assert (round(latency.p50), round(latency.p95)) == (3, 9)
    assert 0 < await RedisHealthChecker().check_latency() < 1000


@pytest.mark.parametrize(("megabytes", "status"), [(30, HealthStatus.OK), (8, HealthStatus.DEGRADED)])
async def test_memory_is_measured_against_the_plan(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch, megabytes: int, status: HealthStatus
) -> None:
    await client.set("k", "x" * 8_000_000)
    monkeypatch.setenv("REDIS_MEMORY_QUOTA_MB", str(megabytes))
    memory = await RedisHealthChecker().check_memory()
    assert memory.status is status, memory
    assert memory.used is not None
    assert memory.percent == 100 * memory.used / (megabytes * 1_000_000)
    report = await RedisHealthChecker().report()
    assert report.status is status
    assert ("choose a larger plan" in "".join(report.problems)) == (status is HealthStatus.DEGRADED)


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "much", "²", "9" * 5000])
def test_a_quota_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("REDIS_MEMORY_QUOTA_MB", value)
    with pytest.raises(Misconfigured, match="REDIS_MEMORY_QUOTA_MB"):
        RedisHealthChecker()


@pytest.mark.usefixtures("mute")
async def test_a_server_that_tells_nothing_of_itself_is_degraded_not_down() -> None:
    checker = RedisHealthChecker()
    memory = await checker.check_memory()
    report = await checker.report()
    assert (memory.used, memory.percent, memory.status) == (None, None, HealthStatus.DEGRADED)
    assert report.status is HealthStatus.DEGRADED
    assert report.keys == 0
    assert report.problems == ("INFO memory failed: Redis refuses the credentials (NOPERM)",)


async def test_an_unknown_field_is_degraded_not_down(client: RedisClient) -> None:
    async def odd(self: RedisClient, steps: Any, **options: Any) -> list[Any]:
        return ["PONG", "# Memory\r\nused_memory_human:1M\r\n", 3]

    with patch.object(RedisClient, "pipeline", odd):
        report = await RedisHealthChecker().report()
    assert report.status is HealthStatus.DEGRADED
    assert report.problems == ("INFO memory does not tell used_memory",)


async def test_a_server_that_is_loading_is_down(client: RedisClient) -> None:
    async def loading(self: RedisClient, steps: Any, **options: Any) -> list[Any]:
        return [Unavailable("Redis cannot do this now: LOADING")] * 3

    with patch.object(RedisClient, "pipeline", loading):
        report = await RedisHealthChecker().report()
    assert report.status is HealthStatus.DOWN
    assert report.problems == ("Redis is down: Redis cannot do this now: LOADING",)


async def test_nobody_answers(nobody: RedisClient, caplog: pytest.LogCaptureFixture) -> None:
    checker = RedisHealthChecker(nobody)
    with caplog.at_level(logging.WARNING):
        assert not await checker.check_connection()
    assert "no sign of life" in caplog.text
    report = await checker.report()
    assert (report.status, report.latency, report.memory, report.keys) == (HealthStatus.DOWN, None, None, None)
    assert "cannot be reached at 127.0.0.1:1" in report.problems[0]
    for check in (checker.check_latency, checker.check_memory):
        with pytest.raises(Unavailable):
            await check()


async def test_a_server_that_is_frozen_gives_no_sign_of_life(redis_server: RedisServer) -> None:
    impatient = RedisClient(RedisConfig(redis_server.full_url, command_timeout=0.2, connect_timeout=0.2, retries=0))
    checker = RedisHealthChecker(impatient)
    assert await checker.check_connection()
    redis_server.freeze()
    try:
        assert not await checker.check_connection()
    finally:
        redis_server.thaw()
    assert await checker.check_connection()
    await impatient.aclose()


async def test_a_wrong_password_is_down_and_says_what_to_set(client: RedisClient, redis_server: RedisServer) -> None:
    stranger = RedisClient(RedisConfig(redis_server.full_url.replace("a-token", "another")))
    checker = RedisHealthChecker(stranger)
    assert not await checker.check_connection()
    report = await checker.report()
    assert report.status is HealthStatus.DOWN
    assert "UPSTASH_REDIS_URL" in report.problems[0]
    await stranger.aclose()
