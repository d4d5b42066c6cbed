"""Live messages (R16): heard at once by who listens, and kept for an hour for who was cut off meanwhile.

    service = PubSubService()
    await service.subscribe("agent_updates", send_to_browser)

A message is written to the channel's stream and published in one round trip. Whoever listens is told each message once
and in order; after a lost connection it is told what it missed, from the last 1,000 messages or so. Nobody is told what
was published before it subscribed: durable delivery is Google Pub/Sub's business. A function listens while it streams
a response, and not beyond: then nothing of it runs any more.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Any

from common import ids
from common.lifecycle import per_loop
from common.redis import keys
from common.redis.client import redis_client, require
from common.redis.errors import InvalidValue, UnknownChannel
from common.redis.listener import listener
from common.redis.subscription import KEPT_MESSAGES, Subscription
from common.redis.values import to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.redis.pipeline import Step

CHANNELS = ("agent_updates", "approval_requests", "session_events")
WORKSPACE_EVENTS = "events/"
"""What the channels of single workspaces begin with; their id follows."""

MAX_MESSAGE_BYTES = 64_000
"""So that a full stream stays below the 100 MB that Upstash allows a key."""

KEPT_SECONDS = 3600

_RENEWED_CHANNELS = 1000


class PubSubService:
    """Publishing and listening on named channels, in JSON; one object for each who listens.

    Example:
        >>> await PubSubService().publish("session_events", {"type": "started"})
        1
    """

    def __init__(self) -> None:
        self._subscriptions: dict[str, Subscription] = {}

    async def publish(self, channel: str, message: dict[str, Any]) -> int:
        """Tell everybody who listens, and keep it for those who cannot now; how many connections heard it.

        X = 2 in one round trip; 3 where this event loop has not renewed the life of the channel's stream for a tenth
        of it.

        Raises:
            UnknownChannel: it is none of `CHANNELS`, nor ``events/`` and a workspace's id.
            InvalidValue: the message is not a JSON object, or larger than 64,000 bytes.
            Unavailable: Redis did not answer in time; sending it again is heard again.
        """
        _check(channel)
        if not isinstance(message, dict):
            raise InvalidValue("a live message must be a JSON object")
        # The id tells copies of a message apart: the one that is heard, the one in the stream, one that is sent again.
        envelope = to_json({"id": ids.new_id(), "message": message}, "a live message", limit=MAX_MESSAGE_BYTES)
        stream = keys.stream(channel)
        steps: list[Step] = [("XADD", stream, "MAXLEN", "~", KEPT_MESSAGES, "*", "m", envelope)]
        renew = _renewals().due(stream)
        if renew:
            steps.append(("EXPIRE", stream, KEPT_SECONDS))
        steps.append(("PUBLISH", keys.pubsub(channel), envelope))
        *_, heard = require(await redis_client().pipeline(steps, idempotent=True))
        if renew:
            _renewals().done(stream)
        count: int = heard
        return count

    async def subscribe(self, channel: str, callback: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        """Call ``callback`` with every message of ``channel`` until `unsubscribe`; a second call replaces the first.

        It is called with one message after the other; an exception of it is logged and ends nothing. X = 2, and one
        for each hundred messages that a lost connection cost.

        Raises:
            UnknownChannel: there is no such channel.
            Unavailable: Redis cannot be reached. Once it could, a lost connection is opened again by itself.
        """
        _check(channel)
        subscription = Subscription(channel, callback)
        await listener().add(subscription)
        try:
            await subscription.start()
        except BaseException:
            await listener().remove(subscription)
            raise
        await self.unsubscribe(channel)
        self._subscriptions[channel] = subscription

    async def unsubscribe(self, channel: str) -> None:
        """Stop listening; nothing where this object does not."""
        subscription = self._subscriptions.pop(channel, None)
        if subscription is not None:
            await listener().remove(subscription)
            await subscription.stop()


class _Renewals:
    """When the streams' lives were last renewed, so that few messages pay for it."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def due(self, stream: str) -> bool:
        return self._until.get(stream, 0.0) <= monotonic()

    def done(self, stream: str) -> None:
        self._until[stream] = monotonic() + KEPT_SECONDS / 10
        self._until.move_to_end(stream)
        if len(self._until) > _RENEWED_CHANNELS:
            self._until.popitem(last=False)


@per_loop
def _renewals() -> _Renewals:
    return _Renewals()


def _check(channel: str) -> None:
    if channel not in CHANNELS and not (channel.startswith(WORKSPACE_EVENTS) and channel != WORKSPACE_EVENTS):
        raise UnknownChannel(
            f"there is no live channel {channel!r}: it must be one of {', '.join(CHANNELS)}, or"
            f" {WORKSPACE_EVENTS} and a workspace's id"
        )
