"""A Google Cloud project of a test's own, through the generated asynchronous clients."""

from __future__ import annotations

import asyncio
import time
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

ONCE: dict[str, Any] = {"retry": None, "timeout": 10}
"""How every call of these tests is made: no retries that would hide an error, no endless wait."""


@dataclass(frozen=True)
class Project:
    address: str
    id: str
    publisher: PublisherAsyncClient
    subscriber: SubscriberAsyncClient

    @property
    def path(self) -> str:
        return f"projects/{self.id}"

    def topic_name(self, name: str = "events") -> str:
        return f"{self.path}/topics/{name}"

    def subscription_name(self, name: str = "worker") -> str:
        return f"{self.path}/subscriptions/{name}"

    async def topic(self, name: str = "events") -> str:
        topic = await self.publisher.create_topic(name=self.topic_name(name), **ONCE)
        return topic.name

    async def subscription(self, topic: str, name: str = "worker", **fields: Any) -> str:
        wanted = types.Subscription(name=self.subscription_name(name), topic=topic, **fields)
        return (await self.subscriber.create_subscription(request=wanted, **ONCE)).name

    async def push_subscription(self, topic: str, url: str, name: str = "worker", **fields: Any) -> str:
        push = types.PushConfig(push_endpoint=url, **fields.pop("push", {}))
        return await self.subscription(topic, name, push_config=push, **fields)

    async def update(self, wanted: types.Subscription, *paths: str) -> types.Subscription:
        request = types.UpdateSubscriptionRequest(subscription=wanted, update_mask={"paths": list(paths)})
        return await self.subscriber.update_subscription(request=request, **ONCE)

    async def publish(self, topic: str, *messages: bytes | types.PubsubMessage) -> list[str]:
        batch = [types.PubsubMessage(data=each) if isinstance(each, bytes) else each for each in messages]
        return list((await self.publisher.publish(topic=topic, messages=batch, **ONCE)).message_ids)

    async def pull(self, subscription: str, count: int = 1, within: float = 5.0) -> list[types.ReceivedMessage]:
        """Wait for ``count`` messages; what came if they do not come in time."""
        end = time.monotonic() + within
        got: list[types.ReceivedMessage] = []
        while len(got) < count and time.monotonic() < end:
            request = types.PullRequest(subscription=subscription, max_messages=count - len(got))
            left = max(0.1, end - time.monotonic())
            try:
                got += (await self.subscriber.pull(request=request, retry=None, timeout=left)).received_messages
            except DeadlineExceeded:
                break
        return got

    async def pull_now(self, subscription: str, limit: int = 100) -> list[types.ReceivedMessage]:
        """What is there at this moment."""
        request = types.PullRequest(subscription=subscription, max_messages=limit, return_immediately=True)
        with warnings.catch_warnings():
            # deprecated, and the only way to ask without waiting
            warnings.filterwarnings("ignore", "The return_immediately flag is deprecated", DeprecationWarning)
            return list((await self.subscriber.pull(request=request, **ONCE)).received_messages)

    async def ack(self, subscription: str, *messages: types.ReceivedMessage) -> None:
        ids = [message.ack_id for message in messages]
        await self.subscriber.acknowledge(subscription=subscription, ack_ids=ids, **ONCE)

    async def nack(self, subscription: str, *messages: types.ReceivedMessage) -> None:
        await self.extend(subscription, 0, *messages)

    async def extend(self, subscription: str, seconds: int, *messages: types.ReceivedMessage) -> None:
        ids = [message.ack_id for message in messages]
        await self.subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=ids, ack_deadline_seconds=seconds, **ONCE
        )

    async def seek(self, subscription: str, instant: datetime) -> None:
        await self.subscriber.seek(request=types.SeekRequest(subscription=subscription, time=instant), **ONCE)


@asynccontextmanager
async def new_project(address: str) -> AsyncIterator[Project]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Project(
            address=address,
            id=f"test-{new_id()[:8]}",
            publisher=PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel)),
            subscriber=SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel)),
        )


def ordered(*texts: str, key: str = "k") -> list[types.PubsubMessage]:
    return [types.PubsubMessage(data=text.encode(), ordering_key=key) for text in texts]


def texts(messages: list[types.ReceivedMessage]) -> list[str]:
    return [received.message.data.decode() for received in messages]


async def eventually(condition: Any, within: float = 5.0) -> None:
    """For what a thread of the high-level clients does: nothing there can be awaited."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.01)
