"""Streaming pull: the stream that the high-level client keeps open, with its flow control."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.pubsub_v1 import types

from tools.local.pubsub import rules
from tools.local.pubsub.errors import not_found
from tools.local.rpc import invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tools.local.pubsub.messages import Delivery
    from tools.local.pubsub.state import State, Subscription
    from tools.local.rpc import Context

MAX_BATCH = 100
"""Messages in one answer."""

_LOOK_AGAIN = 1.0
"""Seconds after which a stream at its limit looks whether a lease of its ran out: that wakes nobody."""


async def streaming_pull(state: State, requests: AsyncIterator[types.StreamingPullRequest], context: Context) -> None:
    """Serve one stream until the client ends its side, the subscription is deleted, or the server stops.

    Raises:
        ServiceError: the first request lacks a subscription or a deadline; an ack id is invalid; NOT_FOUND.
    """
    stream = _open(state, await anext(aiter(requests), types.StreamingPullRequest()))
    reader = asyncio.create_task(stream.read(requests))
    reader.add_done_callback(lambda _task: stream.subscription.backlog.wake())
    try:
        await context.write(stream.answer([]))
        while not reader.done() and not stream.subscription.backlog.closed:
            deliveries = stream.take()
            if deliveries:
                await context.write(stream.answer(deliveries))
            else:
                await stream.wait()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    if not reader.cancelled():
        reader.result()
    if stream.subscription.backlog.closed:
        raise not_found(stream.subscription.config.name)


def received(subscription: Subscription, deliveries: Sequence[Delivery]) -> list[types.ReceivedMessage]:
    """What a pull answers; the attempt is told only where there is a dead-letter policy."""
    counts = bool(subscription.config.dead_letter_policy.dead_letter_topic)
    return [
        types.ReceivedMessage(
            ack_id=delivery.ack_id,
            message=types.PubsubMessage(
                data=delivery.message.data,
                attributes=dict(delivery.message.attributes),
                message_id=delivery.message.id,
                publish_time=delivery.message.publish_time,
                ordering_key=delivery.message.ordering_key,
            ),
            delivery_attempt=delivery.attempt if counts else 0,
        )
        for delivery in deliveries
    ]


@dataclass(slots=True)
class _Stream:
    subscription: Subscription
    lease: float
    max_messages: int
    """How many the client wants to have at a time; 0 for any number."""
    max_bytes: int
    """The same for their sizes."""
    out: dict[str, int] = field(default_factory=dict)
    """Ack id to the size of a message that the client has, as far as known; empty where there is no limit."""

    async def read(self, requests: AsyncIterator[types.StreamingPullRequest]) -> None:
        async for request in requests:
            self._apply(request)

    def take(self) -> list[Delivery]:
        """Up to a batch, one by one: sizes are known only when they are taken."""
        taken: list[Delivery] = []
        while len(taken) < MAX_BATCH and self._has_room():
            one = self.subscription.backlog.take(1, self.lease)
            if not one:
                break
            taken += one
            if self.max_messages or self.max_bytes:
                self.out |= {delivery.ack_id: len(delivery.message.data) for delivery in one}
        return taken

    async def wait(self) -> None:
        backlog = self.subscription.backlog
        soon = [time.monotonic() + _LOOK_AGAIN]
        await backlog.changed(min(backlog.next_due() if self._has_room() else soon, default=None))

    def answer(self, deliveries: Sequence[Delivery]) -> types.StreamingPullResponse:
        config = self.subscription.config
        return types.StreamingPullResponse(
            received_messages=received(self.subscription, deliveries),
            subscription_properties=types.StreamingPullResponse.SubscriptionProperties(
                exactly_once_delivery_enabled=config.enable_exactly_once_delivery,
                message_ordering_enabled=config.enable_message_ordering,
            ),
        )

    def _has_room(self) -> bool:
        if not self._fits():
            self.out = {ack_id: size for ack_id, size in self.out.items() if self.subscription.backlog.holds(ack_id)}
        return self._fits()

    def _fits(self) -> bool:
        few = not self.max_messages or len(self.out) < self.max_messages
        return few and (not self.max_bytes or sum(self.out.values()) < self.max_bytes)

    def _apply(self, request: types.StreamingPullRequest) -> None:
        backlog = self.subscription.backlog
        if request.stream_ack_deadline_seconds:
            self.lease = _lease(request)
        if request.ack_ids:
            backlog.ack(list(request.ack_ids))
        if len(request.modify_deadline_ack_ids) != len(request.modify_deadline_seconds):
            raise invalid("modify_deadline_ack_ids and modify_deadline_seconds must have the same length")
        for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
            rules.check_ack_deadline("modify_deadline_seconds", seconds, minimum=0)
            backlog.modify_deadline([ack_id], seconds)


def _open(state: State, first: types.StreamingPullRequest) -> _Stream:
    if not first.subscription:
        raise invalid("first message must set subscription")
    return _Stream(
        subscription=state.subscription(first.subscription),
        lease=_lease(first),
        max_messages=max(0, first.max_outstanding_messages),
        max_bytes=max(0, first.max_outstanding_bytes),
    )


def _lease(request: types.StreamingPullRequest) -> float:
    seconds = request.stream_ack_deadline_seconds
    if not 10 <= seconds <= 600:
        raise invalid("stream_ack_deadline_seconds must be between 10 and 600 seconds")
    return float(seconds)
