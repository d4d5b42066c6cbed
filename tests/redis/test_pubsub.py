"""Live messages: who hears them, what they cost, what is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput, Misconfigured, Unavailable
from common.redis import keys, pubsub, subscription
from common.redis.errors import InvalidValue, UnknownChannel
from common.redis.listener import listener
from common.redis.pubsub import PubSubService
from tests.redis.counting import keys_without_end
from tests.redis.faults import faults

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer

CHANNEL = "agent_updates"


class Ear:
    """Hears, and remembers the numbers that were said."""

    def __init__(self) -> None:
        self.service = PubSubService()
        self.heard: list[Any] = []

    async def __call__(self, message: dict[str, Any]) -> None:
        self.heard.append(message["n"])

    async def has(self, *numbers: int) -> None:
        """Wait until exactly these were heard, in order."""
        ends = time.monotonic() + 5
        while len(self.heard) < len(numbers) and time.monotonic() < ends:
            await asyncio.sleep(0.005)
        assert self.heard == list(numbers)


async def listening(channel: str = CHANNEL) -> Ear:
    ear = Ear()
    await ear.service.subscribe(channel, ear)
    return ear


async def say(*numbers: int, channel: str = CHANNEL) -> list[int]:
    return [await PubSubService().publish(channel, {"n": number}) for number in numbers]


async def exercise() -> None:
    await say(0)
    ear = await listening()
    assert await say(1, 2) == [1, 1]
    await ear.has(1, 2)
    await ear.service.unsubscribe(CHANNEL)
    async with asyncio.timeout(10):  # the server notices in its own time that the connection has ended
        while await say(3) != [0]:
            await asyncio.sleep(0.01)
    await ear.has(1, 2)


async def test_a_listener_hears_what_is_said_while_it_listens(client: RedisClient) -> None:
    await exercise()


async def test_a_listener_hears_on_the_double(mock_redis: RedisClient) -> None:
    await exercise()


async def test_all_listeners_share_a_connection_and_hear_for_themselves(client: RedisClient) -> None:
    ears = [await listening(channel) for channel in (*pubsub.CHANNELS, CHANNEL, "events/w")]
    assert await say(1) == [1]
    await say(2, channel="events/w")
    await ears[0].has(1)
    await ears[3].has(1)
    await ears[4].has(2)
    assert ears[1].heard == ears[2].heard == []
    connections = await client.execute("CLIENT", "LIST", "TYPE", "pubsub")
    assert connections.count("\n") == 1
    await ears[0].service.unsubscribe(CHANNEL)
    await say(3)
    await ears[3].has(1, 3)
    assert ears[0].heard == [1]
    for ear in ears:
        for channel in (*pubsub.CHANNELS, "events/w"):
            await ear.service.unsubscribe(channel)
    async with asyncio.timeout(10):  # the server notices in its own time
        while await client.execute("CLIENT", "LIST", "TYPE", "pubsub"):
            await asyncio.sleep(0.01)


async def test_a_second_subscription_replaces_the_first(client: RedisClient) -> None:
    first, second = await listening(), Ear()
    await first.service.subscribe(CHANNEL, second)
    await say(1)
    await second.has(1)
    assert first.heard == []


async def test_a_failing_callback_ends_nothing(client: RedisClient, caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear()

    async def fail(message: dict[str, Any]) -> None:
        await ear(message)
        raise ValueError("no")

    await ear.service.subscribe(CHANNEL, fail)
    await say(1, 2)
    await ear.has(1, 2)
    assert "a live listener failed" in caplog.text


async def test_a_callback_may_stop_listening(client: RedisClient) -> None:
    ear = Ear()

    async def once(message: dict[str, Any]) -> None:
        await ear.service.unsubscribe(CHANNEL)
        await asyncio.sleep(0)
        await ear(message)

    await ear.service.subscribe(CHANNEL, once)
    await asyncio.gather(say(1), say(2))
    await ear.has(1)
    await asyncio.sleep(0.05)
    await ear.has(1)


async def test_what_it_costs(client: RedisClient, count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    async with count() as spent:
        ear = await listening()
    assert spent.by_name == {"auth": 1, "subscribe": 1, "xrevrange": 1}
    async with count() as spent:
        await say(1)
    assert spent.by_name == {"xadd": 1, "expire": 1, "publish": 1}
    assert spent.round_trips == 1
    async with count() as spent:
        await say(2)
        await ear.has(1, 2)
    assert spent.by_name == {"xadd": 1, "publish": 1}
    assert spent.round_trips == 1
    async with count() as spent:
        other = await listening()
    assert spent.by_name == {"xrevrange": 1}
    async with count() as spent:
        await other.service.unsubscribe(CHANNEL)
        await ear.service.unsubscribe(CHANNEL)
    assert spent.commands == 0
    now = time.monotonic()
    monkeypatch.setattr(pubsub, "monotonic", lambda: now + pubsub.KEPT_SECONDS / 10 + 1)
    async with count() as spent:
        await say(3)
    assert spent.by_name == {"xadd": 1, "expire": 1, "publish": 1}


async def test_the_stream_is_bounded_and_ends(client: RedisClient) -> None:
    await asyncio.gather(*(PubSubService().publish(CHANNEL, {"n": number}) for number in range(1_300)))
    assert 1_000 <= await client.execute("XLEN", keys.stream(CHANNEL)) <= 1_150
    assert 3_590 < await client.ttl(keys.stream(CHANNEL)) <= 3_600
    assert await keys_without_end(client) == set()


async def test_many_channels_are_not_remembered_for_ever(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "_RENEWED_CHANNELS", 3)
    for number in range(10):
        await say(number, channel=f"events/{number}")
    assert len(pubsub._renewals()._until) == 3
    assert await keys_without_end(client) == set()


@pytest.mark.parametrize(
    "message", [{"n": object()}, {"n": float("nan")}, {"n": "x" * 64_001}, {"n": (1,)}, {1: 2}, "text", None]
)
async def test_what_is_no_small_json_object_is_refused(client: RedisClient, count: Count, message: Any) -> None:
    async with count() as spent:
        with pytest.raises(InvalidValue):
            await PubSubService().publish(CHANNEL, message)
    assert spent.commands == 0


@pytest.mark.parametrize("channel", ["", "c", "events/", "events", "agent_update", "pubsub:agent_updates"])
async def test_a_channel_that_nobody_knows_is_refused(client: RedisClient, channel: str) -> None:
    for operation in (PubSubService().publish(channel, {}), PubSubService().subscribe(channel, Ear())):
        with pytest.raises(UnknownChannel, match="one of agent_updates, approval_requests, session_events, or events/"):
            await operation
    assert issubclass(UnknownChannel, InvalidInput)


async def test_messages_of_somebody_else_are_left_out(client: RedisClient, caplog: pytest.LogCaptureFixture) -> None:
    ear = await listening()
    for text in ("no json", "[]", '{"id": 1}', '{"id": "a", "message": 7}', b"\xff"):
        await client.execute("PUBLISH", keys.pubsub(CHANNEL), text)
    await say(1)
    await ear.has(1)
    assert caplog.text.count("a message of somebody else was left out") == 5


async def test_a_message_that_was_sent_again_is_heard_once(client: RedisClient) -> None:
    ear = await listening()
    submit = client.pipeline

    async def twice(steps: Any, **options: Any) -> Any:
        await submit(steps, **options)
        return await submit(steps, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "pipeline", twice)
        await say(1)
    await say(2)
    await ear.has(1, 2)


async def test_a_stream_that_could_not_be_given_an_end_is_given_one_next_time(client: RedisClient) -> None:
    with faults("answer lost"), pytest.raises(Unavailable):
        await say(1)
    await client.execute("PERSIST", keys.stream(CHANNEL))
    await say(2)
    assert await keys_without_end(client) == set()


@pytest.mark.parametrize(
    ("url", "error"),
    [("redis://127.0.0.1:1/0", Unavailable), ("redis://default:wrong@127.0.0.1:{port}/0", Misconfigured)],
)
async def test_who_cannot_listen_is_told_so(
    client: RedisClient,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    error: type[Exception],
) -> None:
    from common.lifecycle import aclose_all

    await aclose_all()
    monkeypatch.setenv("UPSTASH_REDIS_URL", url.format(port=redis_server.port))
    monkeypatch.delenv("UPSTASH_REDIS_TOKEN")
    for _ in range(2):
        with pytest.raises(error):
            await listening()
    assert listener()._running is None
    assert listener()._subscriptions == {}


async def test_who_cannot_find_where_to_begin_does_not_listen(client: RedisClient) -> None:
    with faults("not sent"), pytest.raises(Unavailable):
        await listening()
    assert await say(1) == [0]


def test_importing_the_package_imports_no_client_library() -> None:
    code = (
        "import sys, common.redis, common.redis.pubsub, common.redis.client, common.infrastructure,"
        " common.redis.compare, common.redis.lua_scripts, common.redis.bridge, common.redis.locks,"
        " common.redis.atomic, common.redis.pipeline,"
        " common.infrastructure.pubsub_client, common.events.bus;"
        "heavy = {'redis', 'google.api_core', 'grpc', 'psycopg', 'httpx', 'cloudevents'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": "."})


def test_more_is_known_than_a_stream_keeps() -> None:
    assert subscription.MAX_KNOWN >= 2 * subscription.KEPT_MESSAGES
    assert subscription.MAX_WAITING + subscription.KEPT_MESSAGES <= subscription.MAX_KNOWN
    assert subscription.KEPT_MESSAGES * pubsub.MAX_MESSAGE_BYTES < 100_000_000
