"""Pulling with our subscriber, from our own Pub/Sub and from Google's emulator where it is installed."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from common import clock
from common.errors import InvalidInput
from common.events.message import message_attributes
from common.functions import context
from common.infrastructure import pubsub_subscriber
from common.infrastructure.errors import NotFound
from common.infrastructure.pubsub_client import PubSubClient
from tests.tools.local.pubsub.project import eventually, new_project, ordered
from tools.local.pubsub import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from common.infrastructure.pubsub_subscriber import PulledMessage
    from tests.tools.local.pubsub.project import Project
    from tools.local.pubsub import Server


@pytest.fixture
async def pubsub(project: Project, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PubSubClient]:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", project.address)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", project.id)
    monkeypatch.setattr(pubsub_subscriber, "RENEW_SECONDS", 0.5)
    made = PubSubClient()
    yield made
    await made.aclose()


@asynccontextmanager
async def subscribed(
    pubsub: PubSubClient, handler: Callable[[PulledMessage], Awaitable[None]], **limits: int
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(pubsub.subscribe("worker", handler, **limits))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_messages_arrive_whole_and_once_handled_are_gone(
    pubsub: PubSubClient,
    project: Project,
) -> None:
    subscription = await project.subscription(await project.topic())
    seen: list[PulledMessage] = []

    async def handle(message: PulledMessage) -> None:
        seen.append(message)

    async with subscribed(pubsub, handle):
        identity = await pubsub.publish("events", b"\x00\xff", attributes={"a": "b"}, ordering_key="k")
        await eventually(lambda: seen)
    [message] = seen
    assert (message.id, message.data, message.attributes, message.ordering_key, message.attempt) == (
        identity,
        b"\x00\xff",
        {"a": "b"},
        "k",
        0,
    )
    assert await project.pull_now(subscription) == []


async def test_a_message_whose_handler_raises_comes_again(
    pubsub: PubSubClient,
    project: Project,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await project.subscription(await project.topic())
    seen: Counter[bytes] = Counter()

    async def handle(message: PulledMessage) -> None:
        seen[message.data] += 1
        if message.data == b"bad" and seen[message.data] < 3:
            raise ValueError("not yet")

    async with subscribed(pubsub, handle):
        await pubsub.publish("events", b"bad")
        await pubsub.publish("events", b"good")
        await eventually(lambda: seen == {b"bad": 3, b"good": 1})
    assert caplog.text.count("comes again") == 2


class Crowd:
    """A handler that takes a while, and counts how many of it run at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running = self.most = self.done = 0

    async def __call__(self, _message: PulledMessage) -> None:
        self._running += 1
        self.most = max(self.most, self._running)
        await asyncio.sleep(self._seconds)
        self._running -= 1
        self.done += 1


@pytest.mark.parametrize(
    ("messages", "limits", "most"),
    [
        pytest.param([b"%d" % number for number in range(40)], {"max_messages": 3}, 3, id="messages"),
        pytest.param([b"x" * 2000] * 4, {"max_bytes": 1000}, 1, id="large"),
    ],
)
async def test_no_more_is_handled_at_a_time_than_wanted(
    pubsub: PubSubClient, project: Project, messages: list[bytes], limits: dict[str, int], most: int
) -> None:
    topic = await project.topic()
    await project.subscription(topic)
    crowd = Crowd(0.03)
    await project.publish(topic, *messages)
    async with subscribed(pubsub, crowd, **limits):
        await eventually(lambda: crowd.done == len(messages), within=15)
    assert crowd.most == most


async def test_a_key_s_messages_are_handled_in_order(pubsub: PubSubClient, project: Project) -> None:
    topic = await project.topic()
    await project.subscription(topic, enable_message_ordering=True)
    seen: list[bytes] = []

    async def handle(message: PulledMessage) -> None:
        await asyncio.sleep(0.05 if message.data == b"0" else 0)
        seen.append(message.data)

    await project.publish(topic, *ordered(*(str(number) for number in range(8))))
    async with subscribed(pubsub, handle):
        await eventually(lambda: len(seen) == 8)
    assert seen == [b"%d" % number for number in range(8)]


async def test_a_long_handler_keeps_its_message(pubsub: PubSubClient, project: Project) -> None:
    await project.subscription(await project.topic())
    seen = 0

    async def handle(_message: PulledMessage) -> None:
        nonlocal seen
        seen += 1
        await asyncio.sleep(pubsub_subscriber.LEASE_SECONDS + 1)

    async with subscribed(pubsub, handle):
        await pubsub.publish("events", b"long")
        await eventually(lambda: seen)
        await asyncio.sleep(pubsub_subscriber.LEASE_SECONDS + 0.5)
        assert seen == 1


async def test_who_is_cancelled_finishes_what_is_running(
    pubsub: PubSubClient,
    project: Project,
) -> None:
    subscription = await project.subscription(await project.topic())
    started, done = asyncio.Event(), False

    async def handle(_message: PulledMessage) -> None:
        nonlocal done
        started.set()
        await asyncio.sleep(0.3)
        done = True

    async with subscribed(pubsub, handle) as task:
        await pubsub.publish("events", b"1")
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done
    assert await project.pull_now(subscription) == []


async def test_who_does_not_end_in_time_leaves_its_message(
    pubsub: PubSubClient,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pubsub_subscriber, "DRAIN_SECONDS", 0.2)
    subscription = await project.subscription(await project.topic())
    started = asyncio.Event()

    async def handle(_message: PulledMessage) -> None:
        started.set()
        await asyncio.Event().wait()

    async with subscribed(pubsub, handle):
        await pubsub.publish("events", b"1")
        await started.wait()
    assert [received.message.data for received in await project.pull(subscription)] == [b"1"]


async def test_a_trace_travels_with_a_message(pubsub: PubSubClient, project: Project) -> None:
    await project.subscription(await project.topic())
    seen: list[PulledMessage] = []

    async def handle(message: PulledMessage) -> None:
        seen.append(message)

    running = context.RequestContext.from_headers({}, function="f")
    async with subscribed(pubsub, handle):
        with context.bind(running):
            attributes = message_attributes(id="1", source="test", type="raptorflow.test.made.v1", time=clock.now())
            await pubsub.publish("events", b"{}", attributes=attributes)
        await eventually(lambda: seen)
    [message] = seen
    assert message.attributes["traceparent"] == running.traceparent
    assert message.attributes["ce-id"] == "1"


async def test_what_cannot_be_subscribed_to(pubsub: PubSubClient, project: Project) -> None:
    async def handle(_message: PulledMessage) -> None:
        raise AssertionError

    await project.topic()
    async with asyncio.timeout(5):
        with pytest.raises(NotFound, match="worker"):
            await pubsub.subscribe("worker", handle)
    for limits in ({"max_messages": 0}, {"max_bytes": 0}):
        with pytest.raises(InvalidInput):
            await pubsub.subscribe("worker", handle, **limits)


async def test_a_broken_stream_is_opened_again(ours: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    async def handle(message: PulledMessage) -> None:
        seen.append(message.data)

    monkeypatch.setattr(pubsub_subscriber, "RETRY_SECONDS", (1.0, 1.0))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{ours.port}")
    async with new_project(f"127.0.0.1:{ours.port}") as before:
        await before.subscription(await before.topic())
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", before.id)
        pubsub = PubSubClient()
        async with subscribed(pubsub, handle) as task:
            await pubsub.publish("events", b"1")
            await eventually(lambda: seen)
            await ours.stop()
            again = await start(ours.port, sign=lambda _email, _audience: "token")
            await before.subscription(await before.topic())
            await before.publish(before.topic_name(), b"2")
            await eventually(lambda: seen == [b"1", b"2"])
            assert not task.done()
        await again.stop()
        await pubsub.aclose()
