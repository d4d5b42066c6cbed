"""The live copy, on a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput, Misconfigured, Unavailable
from common.functions import deadline
from common.redis.client import RedisClient, redis_client
from common.redis.config import RedisConfig
from common.redis.pubsub import PubSubService

if TYPE_CHECKING:
    from tests.stack import Stack


async def test_a_listener_hears_what_is_said_after_it_listens(stack: Stack) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    service = PubSubService()
    await service.subscribe("session_events", heard.put)
    assert await service.publish("session_events", {"type": "started", "n": 1}) == 1
    assert await asyncio.wait_for(heard.get(), 5) == {"type": "started", "n": 1}
    await service.unsubscribe("session_events")
    assert await service.publish("session_events", {"type": "ended"}) == 0


async def test_a_failing_callback_ends_nothing(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def callback(message: dict[str, Any]) -> None:
        await heard.put(message)
        raise ValueError("no")

    service = PubSubService()
    await service.subscribe("c", callback)
    for number in range(2):
        await service.publish("c", {"n": number})
    assert [(await asyncio.wait_for(heard.get(), 5))["n"] for _ in range(2)] == [0, 1]
    assert "a live listener failed" in caplog.text


@pytest.mark.parametrize("message", [{"a": object()}, {"a": float("nan")}, {"a": "x" * 1_000_001}])
async def test_what_is_not_json_is_refused(stack: Stack, message: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await PubSubService().publish("c", message)


async def test_a_new_connection_costs_no_command_but_its_password(stack: Stack) -> None:
    await redis_client().ping()
    config = RedisConfig.from_environment()
    before = await _calls(redis_client())
    fresh = RedisClient(config)
    await fresh.publish("k", "m")
    await fresh.aclose()
    after = await _calls(redis_client())
    made = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    made.pop("info")  # the test's own
    assert made == {"auth": 1, "publish": 1}


async def _calls(client: RedisClient) -> dict[str, int]:
    stats = await client._redis.info("commandstats")
    return {name.removeprefix("cmdstat_").partition("|")[0]: values["calls"] for name, values in stats.items()}


async def test_redis_being_down_is_unavailable_at_once() -> None:
    client = RedisClient(RedisConfig(url="redis://127.0.0.1:1/0"))
    started = time.monotonic()
    with pytest.raises(Unavailable, match="Redis cannot answer PING"):
        await client.ping()
    assert time.monotonic() - started < 1
    await client.aclose()


async def test_redis_being_silent_is_unavailable_within_the_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = RedisClient(RedisConfig(url=f"redis://127.0.0.1:{port}/0"))
    started = time.monotonic()
    async with deadline.within(5):
        with pytest.raises(Unavailable):
            async with deadline.within(0.3):
                await client.ping()
    assert time.monotonic() - started < 1
    await client.aclose()
    server.close()


async def test_a_wrong_password_says_which_setting_to_change(stack: Stack) -> None:
    url = RedisConfig.from_environment().url
    host = url.rpartition("@")[2]
    client = RedisClient(RedisConfig(url=f"redis://default:wrong@{host}"))
    with pytest.raises(Misconfigured, match="UPSTASH_REDIS_TOKEN"):
        await client.ping()
    await client.aclose()


def test_importing_the_package_imports_no_client_library() -> None:
    code = (
        "import sys, common.redis, common.redis.pubsub, common.redis.client, common.infrastructure,"
        " common.infrastructure.pubsub_client, common.events.bus;"
        "heavy = {'redis', 'google.api_core', 'grpc', 'psycopg', 'httpx', 'cloudevents'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": "."})
