"""Listening through lost connections, slow callbacks and restarts: every message once and in order."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.lifecycle import aclose_all
from common.redis import keys, subscription
from common.redis.listener import Listener, listener
from tests.redis.faults import faults
from tests.redis.test_pubsub import CHANNEL, Ear, listening, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from common.redis.client import RedisClient
    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer


class Line:
    """The listening connection, which a test cuts and lets come back."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._whole = asyncio.Event()
        self._whole.set()

    async def wait(self) -> None:
        await self._whole.wait()

    async def cut(self) -> None:
        self._whole.clear()
        await self._client.execute("CLIENT", "KILL", "TYPE", "pubsub")
        while listener()._connection is not None:
            await asyncio.sleep(0.001)

    async def mend(self) -> None:
        self._whole.set()
        while not listener()._listening:
            await asyncio.sleep(0.001)


@pytest.fixture
def line(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> Line:
    made, connected = Line(client), Listener._connected

    @asynccontextmanager
    async def when_whole(self: Listener) -> AsyncIterator[Any]:
        await made.wait()
        async with connected(self) as connection:
            yield connection

    monkeypatch.setattr(Listener, "_connected", when_whole)
    monkeypatch.setattr("common.redis.listener._FIRST_PAUSE", 0.001)
    return made


async def test_what_was_said_while_the_connection_was_lost_is_heard(
    client: RedisClient, line: Line, count: Count
) -> None:
    await say(0)
    ear = await listening()
    await say(1, 2)
    await ear.has(1, 2)
    await line.cut()
    assert await say(3, 4, 5) == [0, 0, 0]
    async with count() as spent:
        await line.mend()
        await ear.has(1, 2, 3, 4, 5)
    assert spent.by_name == {"auth": 1, "subscribe": 1, "xrevrange": 1}
    await say(6)
    await ear.has(1, 2, 3, 4, 5, 6)


async def test_a_short_gap_costs_one_command_though_much_was_heard_before(
    client: RedisClient, line: Line, count: Count
) -> None:
    ear = await listening()
    await say(*range(450))
    await ear.has(*range(450))
    await line.cut()
    await say(450)
    async with count() as spent:
        await line.mend()
        await ear.has(*range(451))
        await asyncio.sleep(0.02)
    assert spent.by_name["xrevrange"] == 2  # the page with the gap, and one in which nothing is new


async def test_everybody_catches_up_for_himself(client: RedisClient, line: Line) -> None:
    first, second, elsewhere = await listening(), await listening(), await listening("events/w")
    await line.cut()
    await say(1)
    await say(2, channel="events/w")
    await line.mend()
    await first.has(1)
    await second.has(1)
    await elsewhere.has(2)


async def test_who_joins_later_hears_nothing_of_before(client: RedisClient, line: Line) -> None:
    first = await listening()
    await line.cut()
    await say(1)
    later = asyncio.create_task(listening())
    await asyncio.sleep(0.01)
    await line.mend()
    await first.has(1)
    second = await later
    await say(2)
    await second.has(2)


async def test_more_than_is_kept_is_told_to_be_lost(
    client: RedisClient, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    ear = await listening()
    await say(0)
    await ear.has(0)
    await line.cut()
    await asyncio.gather(*(say(number) for number in range(1, 1_301)))
    kept = await client.execute("XLEN", keys.stream(CHANNEL))
    await line.mend()
    await ear.has(0, *range(1_301 - kept, 1_301))
    assert "more was published than is kept" in caplog.text


async def test_what_cannot_be_read_yet_is_read_later_and_in_order(
    client: RedisClient, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    ear = await listening()
    await line.cut()
    await say(1)
    with faults("not sent", "answer lost"):
        await line.mend()
        while "cannot catch up yet" not in caplog.text:
            await asyncio.sleep(0.001)
    await say(2)
    await ear.has(1, 2)


async def test_a_slow_callback_holds_up_nobody_and_misses_nothing(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MAX_WAITING", 10)
    ear, quick, go = Ear(), await listening(), asyncio.Event()

    async def slow(message: dict[str, Any]) -> None:
        await go.wait()
        await ear(message)

    await ear.service.subscribe(CHANNEL, slow)
    await say(*range(100))
    await quick.has(*range(100))
    assert len(ear.service._subscriptions[CHANNEL]._waiting) <= 10
    go.set()
    await ear.has(*range(100))
    await say(100)
    await ear.has(*range(101))


ACTS = st.one_of(
    st.integers(1, 8),
    st.sampled_from(["cut", "cut", "mend", "mend", "slow", "quick", "quick", "unreadable"]),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, min_size=3, max_size=15))
async def test_every_message_once_and_in_order(client: RedisClient, line: Line, acts: list[Any]) -> None:
    await client.delete(keys.stream(CHANNEL))
    ear, quick, said = Ear(), asyncio.Event(), 0
    quick.set()

    async def callback(message: dict[str, Any]) -> None:
        await quick.wait()
        await ear(message)

    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("MAX_WAITING", 4), ("PAGE", 3), ("_PAUSES", (0.001, 0.002))):
            patch.setattr(subscription, name, size)
        await ear.service.subscribe(CHANNEL, callback)
        for act in acts:
            if isinstance(act, int):
                await say(*range(said, said + act))
                said += act
            elif act == "cut":
                await line.cut()
            elif act == "mend":
                await line.mend()
            elif act == "unreadable":
                with faults("not sent", "answer lost", "not sent"):
                    await asyncio.sleep(0.005)
            else:
                quick.set() if act == "quick" else quick.clear()
        quick.set()
        await line.mend()
        await ear.has(*range(said))
        await say(said)
        await ear.has(*range(said + 1))
        await ear.service.unsubscribe(CHANNEL)


async def test_a_redis_that_was_killed_and_started_again_is_listened_to_again(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.start()
    monkeypatch.setenv("UPSTASH_REDIS_URL", own_server.full_url)
    ear = await listening()
    await say(1)
    await ear.has(1)
    own_server.kill()
    await asyncio.sleep(0.1)
    own_server.start()
    while await say(2) == [0]:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    assert set(ear.heard) == {1, 2}
    assert "listening was interrupted" in caplog.text
    await aclose_all()


async def test_the_system_notices_a_connection_that_was_forgotten_on_the_way(client: RedisClient) -> None:
    await listening()
    connection = listener()._connection
    assert connection is not None
    opened = connection._writer.get_extra_info("socket")
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60


FORK = """
import asyncio, gc, os
from common.lifecycle import aclose_all
from common.redis.pubsub import PubSubService

async def parent():
    heard = asyncio.Queue()
    await PubSubService().subscribe("agent_updates", heard.put)
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            gc.collect()
            os._exit(0)
        os.waitpid(pid, 0)
        await PubSubService().publish("agent_updates", {"n": number})
        assert await asyncio.wait_for(heard.get(), 5) == {"n": number}
    await aclose_all()

asyncio.run(parent())
"""


async def test_a_fork_leaves_its_parents_ear_alone(client: RedisClient, redis_server: RedisServer) -> None:
    environment = {**os.environ, "PYTHONPATH": ".", "UPSTASH_REDIS_URL": redis_server.full_url}
    command = [sys.executable, "-W", "error", "-c", FORK]
    run = asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, timeout=30)
    done = await run
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
