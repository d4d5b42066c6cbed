"""Strangers at a webhook: counted by where they come from, never able to stop what is genuine or to cause a 5xx."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import Headers

from common import clock
from common.functions import Rejected, Request, Unverified, serve, webhook
from common.functions.testing import HttpEvent, Result, invoke
from common.functions.unverified import MAX_SECONDS, UNKNOWN, source_of
from common.lifecycle import aclose_all
from common.redis.client import redis_client
from common.redis.config import RedisConfig
from common.redis.rate_limit_config import FAILED_VERIFICATIONS
from tests.redis.counting import Counter, keys_without_end
from tests.redis.servers import TOKEN, RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LIMIT, WINDOW = FAILED_VERIFICATIONS


@webhook(timeout=5)
async def example(request: Request) -> None:
    if request.header("x-signature") is None:
        raise Unverified
    if request.body == b"nonsense":
        raise Rejected(400, "this is nonsense")


@webhook(timeout=5)
async def another(request: Request) -> None:
    raise Unverified


main, other = serve(example), serve(another)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer("valkey", tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
async def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    monkeypatch.setenv("UPSTASH_REDIS_URL", server.url)
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", TOKEN)
    yield server
    await aclose_all()


async def post(source: str = "203.0.113.7", *, genuine: bool = False, body: bytes = b"{}", to: Any = main) -> Result:
    signature = {"x-signature": "genuine"} if genuine else {}
    return await invoke(to, HttpEvent(body=body, headers={"x-forwarded-for": source, **signature}))


async def exhaust(source: str = "203.0.113.7") -> None:
    assert [(await post(source)).status for _ in range(LIMIT)] == [401] * LIMIT


async def test_a_source_of_too_many_is_told_to_come_later(redis: RedisServer) -> None:
    with clock.frozen(datetime(2026, 11, 25, tzinfo=UTC)):
        await exhaust()
        for _ in range(2):
            refused = await post()
            assert (refused.status, refused.headers["retry-after"]) == (429, str(WINDOW))
            assert refused.headers["content-type"] == "application/problem+json"
        assert (await post("203.0.113.8")).status == 401, "somebody else"
        assert (await post(to=other)).status == 401, "another webhook"
    with clock.frozen(datetime(2026, 11, 25, 0, 1, tzinfo=UTC)):
        assert (await post()).status == 401
    assert not await keys_without_end(redis_client())


async def test_what_is_verified_is_never_refused_whoever_shares_its_address(redis: RedisServer) -> None:
    await exhaust()
    assert (await post()).status == 429
    assert (await post(genuine=True)).status == 200
    assert (await post(genuine=True, body=b"nonsense")).status == 400, "its mistakes are no stranger's"


async def test_what_is_verified_asks_nothing_of_redis(redis: RedisServer) -> None:
    count = Counter(RedisConfig(redis.full_url))
    async with count() as spent:
        assert (await post(genuine=True)).status == 200
        assert (await post(genuine=True, body=b"nonsense")).status == 400
        assert (await invoke(main, HttpEvent(method="GET"))).status == 405
    assert spent.commands == 0, spent
    async with count() as spent:
        assert (await post()).status == 401
    assert {name: calls for name, calls in spent.by_name.items() if name in {"get", "set"}} == {"get": 1, "set": 1}
    await count.aclose()


async def test_a_sender_cannot_choose_its_source(redis: RedisServer) -> None:
    for number in range(LIMIT):
        assert (await post(f"198.51.100.{number}, 203.0.113.7")).status == 401
    assert (await post("192.0.2.1, 203.0.113.7")).status == 429
    assert (await post("203.0.113.7")).status == 429


@pytest.mark.parametrize("what", ["down", "wrong password", "no settings", "another's value"])
async def test_whatever_ails_redis_a_stranger_gets_a_401(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "down":
        redis.kill()
    elif what == "wrong password":
        monkeypatch.setenv("UPSTASH_REDIS_TOKEN", "wrong")
    elif what == "no settings":
        monkeypatch.delenv("UPSTASH_REDIS_URL")
    else:
        await redis_client().execute("LPUSH", f"raptorflow:rate:203.0.113.7:webhook-example:{WINDOW * 1000}", "x")
    assert [(await post()).status for _ in range(LIMIT + 2)] == [401] * (LIMIT + 2)
    assert (await post(genuine=True)).status == 200
    monkeypatch.setenv("UPSTASH_REDIS_URL", redis.url)  # the client needs it to close


async def test_a_redis_that_does_not_answer_is_waited_for_once_and_not_for_long(redis: RedisServer) -> None:
    assert (await post()).status == 401
    redis.freeze()
    began = time.monotonic()
    statuses = [result.status for result in await asyncio.gather(*(post() for _ in range(50)))]
    taken = time.monotonic() - began
    assert statuses == [401] * 50
    assert MAX_SECONDS <= taken < 10 * MAX_SECONDS, "all at once, not one after the other"
    sent = redis_client().statistics.commands
    assert (await post()).status == 401
    assert redis_client().statistics.commands == sent, "it is not asked again so soon"


@pytest.mark.parametrize(
    ("headers", "source"),
    [
        ([("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        ([("x-forwarded-for", "10.0.0.1, 203.0.113.7")], "203.0.113.7"),
        ([("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "evil,203.0.113.7 ")], "203.0.113.7"),
        ([("x-forwarded-for", "2001:db8:1:2:3:4:5:6")], "2001:db8:1:2::/64"),
        ([("x-forwarded-for", "2001:db8:1:2:ffff::")], "2001:db8:1:2::/64"),
        ([("x-forwarded-for", "fe80::1%eth0")], "fe80::/64"),
        ([("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
        ([], UNKNOWN),
        ([("x-forwarded-for", "")], UNKNOWN),
        ([("x-forwarded-for", "203.0.113.7,")], UNKNOWN),
        ([("x-forwarded-for", "203.0.113.7:80")], UNKNOWN),
        ([("x-forwarded-for", "é" * 5000)], UNKNOWN),
        ([("forwarded", "for=203.0.113.7")], UNKNOWN),
    ],
)
def test_the_source_is_what_googles_front_end_has_seen(headers: list[tuple[str, str]], source: str) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    assert source_of(Request("POST", "/", "", Headers(raw=raw), b"")) == source
