"""Redis for tests (R79): real servers of their own, one as a double, and what operations cost on them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from common.lifecycle import aclose_all
from common.redis.client import RedisClient, redis_client
from common.redis.compare import capabilities
from common.redis.config import RedisConfig
from common.redis.lua_scripts import register_scripts
from tests.redis.counting import Counter
from tests.redis.double import double
from tests.redis.servers import KINDS, TOKEN, RedisServer, installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="session", params=KINDS)
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of each kind for the whole run; emptied by `client`."""
    if not installed(request.param):
        missing = "redis-server is not installed: apt-get install redis-server"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    server = RedisServer(request.param, tmp_path_factory.mktemp(request.param))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Valkey for one test, which may do to it what it likes; not started yet."""
    server = RedisServer("valkey", tmp_path)
    yield server
    server.kill()


@pytest.fixture
async def client(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisClient]:
    """The shared client, on an empty server: connected, scripts known, capabilities asked, so that counts are exact."""
    monkeypatch.setenv("UPSTASH_REDIS_URL", redis_server.url)
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", TOKEN)
    made = redis_client()
    await made.execute("FLUSHALL")
    await register_scripts(made)
    await capabilities(made)
    yield made
    await aclose_all()


@pytest.fixture
async def count(redis_server: RedisServer, client: RedisClient) -> AsyncIterator[Counter]:
    """Count commands and round trips: ``async with count() as spent``; see `tests.redis.counting`."""
    counter = Counter(RedisConfig(redis_server.full_url))
    yield counter
    await counter.aclose()


@pytest.fixture
async def mock_redis(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisClient]:
    """The shared client on fakeredis, over TCP: a double that needs no server of its own."""
    with double() as port:
        monkeypatch.setenv("UPSTASH_REDIS_URL", f"redis://127.0.0.1:{port}/0")
        monkeypatch.delenv("UPSTASH_REDIS_TOKEN", raising=False)
        yield redis_client()
        await aclose_all()


@pytest.fixture
def test_session_data() -> dict[str, Any]:
    """What a session is made of."""
    return {
        "user_id": "7d1c1f2e-0000-4000-8000-000000000001",
        "workspace_id": "7d1c1f2e-0000-4000-8000-000000000002",
        "metadata": {"agent": "muse", "locale": "en-IN"},
    }


@pytest.fixture
def test_cache_data() -> dict[str, Any]:
    """Values of every kind that may be cached, and awkward ones."""
    return {
        "text": "₹ 1,00,000 “quoted”",
        "number": 42,
        "float": 0.1,
        "none": None,
        "truth": False,
        "list": [1, [2, {"three": None}]],
        "object": {"a": {"b": []}, "": "an empty key"},
        "large": "x" * 100_000,
    }
