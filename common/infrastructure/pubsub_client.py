"""Pub/Sub (R32): publishing with the generated asynchronous client, imported at the first publish; pulling for tools.

The high-level `PublisherClient` batches on threads of its own: 12.4 ms for one message against 0.58 ms (measured), and
none of its threads survives gunicorn's fork.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import InvalidInput
from common.infrastructure.calls import call
from common.infrastructure.endpoints import emulator_channel
from common.infrastructure.gcp import GCPClient
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from google.pubsub_v1 import PublisherAsyncClient
    from google.pubsub_v1.types import PublishRequest

    from common.infrastructure.pubsub_subscriber import PulledMessage

PUBLISH_SECONDS = 2.0
"""For everything that one publish may take, retries included."""
TRANSIENT = frozenset({"ServiceUnavailable", "Aborted", "InternalServerError"})
MAX_MESSAGE_BYTES = 10_000_000
MAX_ATTRIBUTES = 100
MAX_KEY_BYTES, MAX_VALUE_BYTES = 256, 1024
PULLED_MESSAGES, PULLED_BYTES = 10, 20_000_000
"""How much a subscriber handles at a time unless it says otherwise."""


class PubSubClient:
    """Publishes, and pulls for tools; one per process and event loop, see `pubsub_client`."""

    def __init__(self) -> None:
        self._project = GCPClient().get_project_id()
        self._client: PublisherAsyncClient | None = None

    async def publish(
        self,
        topic: str,
        message: bytes,
        *,
        attributes: Mapping[str, str] | None = None,
        ordering_key: str = "",
    ) -> str:
        """Publish one message and return its id.

        A connection that was lost while the instance was frozen is noticed only now, so transient errors are tried
        again inside the two seconds; a message may thereby be published twice, which every handler survives.

        Args:
            topic: its short name.
            message: the data, at most 10 MB.
            attributes: at most 100; keys of 256 bytes, values of 1,024.
            ordering_key: empty for none.

        Raises:
            InvalidInput: the message breaks a limit of the service.
            NotFound: there is no such topic.
            PermissionDenied: our service account may not publish there.
            Unavailable: it could not be published in time.
        """
        attributes = dict(attributes or {})
        _check(message, attributes)
        request = _request(f"projects/{self._project}/topics/{topic}", message, attributes, ordering_key)
        answer = await call(
            f"publishing to {topic}",
            self._publisher().publish,
            seconds=PUBLISH_SECONDS,
            transient=TRANSIENT,
            request=request,
        )
        identity: str = answer.message_ids[0]
        return identity

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
        from common.infrastructure.pubsub_subscriber import Subscriber  # noqa: PLC0415 - at the first subscription

        name = f"projects/{self._project}/subscriptions/{subscription}"
        await Subscriber(name, handler, max_messages=max_messages, max_bytes=max_bytes).run()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.transport.close()  # type: ignore[no-untyped-call] # the library's

    def _publisher(self) -> PublisherAsyncClient:
        if self._client is None:
            from google.pubsub_v1 import PublisherAsyncClient  # noqa: PLC0415
            from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport  # noqa: PLC0415

            channel = emulator_channel("PUBSUB_EMULATOR_HOST")
            self._client = PublisherAsyncClient(
                transport=PublisherGrpcAsyncIOTransport(channel=channel) if channel else None
            )
        return self._client


@per_loop
def pubsub_client() -> PubSubClient:
    """The client of this process and event loop."""
    return PubSubClient()


def _request(topic: str, message: bytes, attributes: Mapping[str, str], ordering_key: str) -> PublishRequest:
    """Made of the plain protocol buffers, and wrapped: the library's own classes take five times as long to fill."""
    from google.pubsub_v1.types import PublishRequest, PubsubMessage  # noqa: PLC0415

    plain = PubsubMessage.pb()(data=message, attributes=attributes, ordering_key=ordering_key)
    request: PublishRequest = PublishRequest.wrap(PublishRequest.pb()(topic=topic, messages=[plain]))
    return request


def _check(message: bytes, attributes: Mapping[str, str]) -> None:
    if len(message) > MAX_MESSAGE_BYTES:
        raise InvalidInput(f"a message may have at most {MAX_MESSAGE_BYTES} bytes")
    if not message and not attributes:
        raise InvalidInput("a message needs data or attributes")
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidInput(f"a message may have at most {MAX_ATTRIBUTES} attributes")
    for key, value in attributes.items():
        if not key or len(key.encode()) > MAX_KEY_BYTES or len(value.encode()) > MAX_VALUE_BYTES:
            raise InvalidInput(f"an attribute's key may have {MAX_KEY_BYTES} bytes, its value {MAX_VALUE_BYTES}")
