"""While Redis does not answer, each endpoint's policy decides, at once and not for longer than needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from common.errors import Unavailable
from common.lifecycle import aclose_all
from common.redis import RateLimitService, keys
from common.redis.rate_limit_local import local
from common.redis.rate_limit_models import Limit
from tests.redis.faults import faults
from tests.redis.servers import TOKEN, RedisServer
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from common.redis.client import RedisClient

OPEN, LOCAL, CLOSED = "/another", "/api/v1/muse/generate", "/api/v1/exports"


@pytest.fixture
async def down(own_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    """The shared client's server, which is not running."""
    monkeypatch.setenv("UPSTASH_REDIS_URL", own_server.url)
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", TOKEN)
    yield own_server
    await aclose_all()


async def allowed(*endpoints: str, limit: int = 3) -> bool:
    result = await RateLimitService().check_limits([Limit("u", endpoint, limit, 60) for endpoint in endpoints])
    assert result.degraded
    return result.allowed


async def test_each_endpoint_has_its_policy(down: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    assert [await allowed(OPEN) for _ in range(5)] == [True] * 5
    assert [await allowed(LOCAL) for _ in range(5)] == [True, True, False, False, False], "half of it, then evenly"
    assert not await allowed(CLOSED)
    assert not await allowed(OPEN, CLOSED), "the strictest decides"
    assert not await allowed(OPEN, LOCAL)
    assert "limits are decided without Redis" in caplog.text
    (record, *_) = [record for record in caplog.records if "without Redis" in record.message]
    assert record.__dict__["fields"]["policies"] == {OPEN: "allow"}
    assert "'u'" not in str(vars(record)), "nobody is named"


async def test_what_a_refused_caller_is_told(down: RedisServer) -> None:
    result = await RateLimitService().check_limit("u", CLOSED, 3, 60)
    assert result.headers() == {"Retry-After": "1"}
    assert (await RateLimitService().check_limit("u", OPEN, 3, 60)).headers() == {}


async def test_redis_is_asked_again_a_second_later(down: RedisServer) -> None:
    assert await allowed(OPEN)
    down.start()
    assert await allowed(OPEN), "not yet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local(), "away_until", None)
        result = await RateLimitService().check_limit("u", OPEN, 3, 60)
    assert (result.degraded, result.remaining) == (False, 2)


async def test_a_server_that_does_not_answer_is_waited_for_once(down: RedisServer) -> None:
    down.start()
    service = RateLimitService(seconds=0.1)
    assert not (await service.check_limit("u", OPEN, 3, 60)).degraded
    down.freeze()
    began = time.monotonic()
    for _ in range(50):
        assert (await service.check_limit("u", OPEN, 3, 60)).degraded
    assert time.monotonic() - began < 2.5
    down.thaw()


@pytest.mark.parametrize("fate", ["not sent", "answer lost"])
async def test_the_clock_that_ends_it_may_be_set_back(client: RedisClient, fate: str) -> None:
    with Timeline(client) as timeline:
        with faults(fate):  # type: ignore[arg-type] # one of them
            assert await allowed(OPEN)
        assert await allowed(OPEN)
        timeline.step(-3600)
        assert not (await RateLimitService().check_limit("u", OPEN, 3, 60)).degraded


async def test_a_wrong_password_and_a_strangers_value_are_errors_in_the_log(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await client.execute("LPUSH", keys.rate_window("u", OPEN, 60_000), "x")
    assert await allowed(OPEN)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    await aclose_all()
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", "wrong")
    assert await allowed(OPEN)
    assert {record.levelname for record in caplog.records} == {"ERROR"}


async def test_counting_goes_on_without_redis_and_looking_does_not(down: RedisServer) -> None:
    service = RateLimitService()
    await service.record_request("u", OPEN)
    with pytest.raises(Unavailable):
        await service.peek("u", OPEN, 3, 60)


async def test_a_refund_is_tried_once(client: RedisClient) -> None:
    service = RateLimitService()
    result = await service.check_limit("u", OPEN, 3, 60)
    with faults("not sent"), pytest.raises(Unavailable):
        await service.refund(result)
    assert await service.refund(result) == 0
