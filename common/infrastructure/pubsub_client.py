"""Pub/Sub (R32): publishing and pulling, for tools.

Functions publish with `pubsub_publisher` and get their messages by push: importing this module would put the
subscriber into their artefacts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import InvalidInput
from common.infrastructure.pubsub_publisher import PubSubPublisher
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.infrastructure.pubsub_subscriber import PulledMessage

PULLED_MESSAGES, PULLED_BYTES = 10, 20_000_000
"""How much a subscriber handles at a time unless it says otherwise."""


class PubSubClient(PubSubPublisher):
    """Publishes and pulls; one per process and event loop, see `pubsub_client`."""

    async def subscribe(
        self,
        subscription: str,
        handler: Callable[[PulledMessage], Awaitable[None]],
        *,
        max_messages: int = PULLED_MESSAGES,
        max_bytes: int = PULLED_BYTES,
    ) -> None:
        """Pull messages and handle them until cancelled: for local tools, as functions get theirs by push.

        A message whose handler returns is acknowledged, one whose handler raises comes again; leases are renewed for
        up to an hour. Of one ordering key, one message is handled at a time. When cancelled, handlers have eight
        seconds to end.

        Args:
            subscription: its short name.
            handler: gets a message, maybe more than once.
            max_messages: handled at a time.
            max_bytes: of data handled at a time; a larger message is handled alone.

        Raises:
            InvalidInput: a limit is not positive.
            NotFound: there is no such subscription.
            PermissionDenied: our account may not pull from it.

        Example:
            >>> async with asyncio.timeout(60):
            ...     await pubsub_client().subscribe("tail-payment-completed", show)
        """
        if max_messages < 1 or max_bytes < 1:
            raise InvalidInput("a subscriber handles at least one message of at least one byte at a time")
        from common.infrastructure.pubsub_subscriber import Subscriber  # noqa: PLC0415 - loads a library

        name = f"projects/{self._project}/subscriptions/{subscription}"
        await Subscriber(name, handler, max_messages=max_messages, max_bytes=max_bytes).run()


@per_loop
def pubsub_client() -> PubSubClient:
    """The client of this process and event loop."""
    return PubSubClient()
