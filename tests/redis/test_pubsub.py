"""The live copy, on a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput
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


def test_importing_the_package_imports_no_client_library() -> None:
    code = (
        "import sys, common.redis, common.redis.pubsub, common.redis.client, common.infrastructure,"
        " common.redis.compare, common.redis.lua_scripts, common.redis.bridge,"
        " common.infrastructure.pubsub_client, common.events.bus;"
        "heavy = {'redis', 'google.api_core', 'grpc', 'psycopg', 'httpx', 'cloudevents'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": "."})
