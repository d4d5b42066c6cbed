"""A pull subscriber for tools and tests (R32): a streaming pull with flow control, until it is cancelled.

Functions get their messages by push. Imported at the first subscription: it loads Pub/Sub's client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.api_core import exceptions
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import StreamingPullRequest

from common.errors import RaptorFlowError, Unavailable
from common.infrastructure.calls import call
from common.infrastructure.endpoints import open_client
from common.infrastructure.errors import translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from google.pubsub_v1.types import ReceivedMessage

log = logging.getLogger(__name__)

LEASE_SECONDS = 10
"""For which a message is ours without a word from us: the shortest that the service allows."""
RENEW_SECONDS = 4.0
"""Between renewals of the leases of what is being handled."""
LONGEST_SECONDS = 3600.0
"""After which a lease is renewed no more: the handler hangs, and another subscriber may have the message."""
DRAIN_SECONDS = 8.0
"""For handlers to end in when the subscriber is cancelled; then they are cancelled, too."""
ACK_SECONDS = 5.0
HEARTBEAT_SECONDS = 30.0
"""Between words on a stream where nothing happens, as Google's own client has it; else proxies close it."""
RETRY_SECONDS = (0.1, 10.0)
"""First and longest wait before a stream that broke is opened again; Google ends every stream now and then."""
_FINAL = (exceptions.NotFound, exceptions.Forbidden, exceptions.Unauthorized, exceptions.BadRequest)


@dataclass(frozen=True, slots=True)
class PulledMessage:
    """A message as it was published.

    Attributes:
        id: given by the service.
        data: the bytes.
        attributes: with ``traceparent`` where the publisher ran in a trace.
        ordering_key: empty for none.
        attempt: how often it was delivered, this time included; 0 where the subscription has no dead-letter policy.
    """

    id: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    attempt: int


class Subscriber:
    """One subscription: its stream, and the handlers of what came.

    Args:
        name: the subscription's full name.
        handler: returns when a message is done with; a message whose handler raises comes again.
        max_messages: handled at a time.
        max_bytes: of data handled at a time; one larger message is handled alone.
    """

    def __init__(
        self, name: str, handler: Callable[[PulledMessage], Awaitable[None]], *, max_messages: int, max_bytes: int
    ) -> None:
        self._name = name
        self._handler = handler
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._client = open_client(SubscriberAsyncClient, SubscriberGrpcAsyncIOTransport, "PUBSUB_EMULATOR_HOST")
        self._held: dict[str, tuple[float, int]] = {}
        """Ack id to since when we have the message, and its size."""
        self._room = asyncio.Event()
        self._handling: set[asyncio.Task[bool]] = set()
        self._last: dict[str, asyncio.Task[bool]] = {}
        """Ordering key to the handling of its newest message."""

    async def run(self) -> None:
        """Handle messages until cancelled; whatever is being handled then is finished first.

        Raises:
            NotFound, PermissionDenied, InvalidInput: the service refuses the subscription.
        """
        renewing = asyncio.create_task(self._renew())
        try:
            await self._read_on()
        finally:
            await self._drain()
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self._client.transport.close()  # type: ignore[no-untyped-call] # the library's

    async def _read_on(self) -> None:
        """Read one stream after the other."""
        wait = RETRY_SECONDS[0]
        while True:
            opened = time.monotonic()
            try:
                await self._read()
            except _FINAL as error:
                raise translate(error, f"subscribing to {self._name}") from error
            except exceptions.GoogleAPICallError as error:
                log.info("%s", translate(error, f"a stream of {self._name} ended"))
            if time.monotonic() - opened > RETRY_SECONDS[1]:
                wait = RETRY_SECONDS[0]
            await asyncio.sleep(wait)
            wait = min(wait * 2, RETRY_SECONDS[1])

    async def _read(self) -> None:
        stream = await self._client.streaming_pull(requests=self._requests(), retry=None, timeout=None)
        async for answer in stream:
            for received in answer.received_messages:
                # Google holds back what exceeds the limits; its emulator does not.
                while self._is_full():
                    self._room.clear()
                    await self._room.wait()
                self._start(received)

    async def _requests(self) -> AsyncIterator[StreamingPullRequest]:
        yield StreamingPullRequest(
            subscription=self._name,
            stream_ack_deadline_seconds=LEASE_SECONDS,
            max_outstanding_messages=self._max_messages,
            max_outstanding_bytes=self._max_bytes,
        )
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            yield StreamingPullRequest()

    def _is_full(self) -> bool:
        size = sum(size for _since, size in self._held.values())
        return len(self._held) >= self._max_messages or size >= self._max_bytes

    def _start(self, received: ReceivedMessage) -> None:
        key = received.message.ordering_key
        self._held[received.ack_id] = (time.monotonic(), len(received.message.data))
        task = asyncio.create_task(self._handle(received, self._last.get(key) if key else None))
        self._handling.add(task)
        if key:
            self._last[key] = task
        task.add_done_callback(lambda done: self._ended(done, key, received.ack_id))

    def _ended(self, task: asyncio.Task[bool], key: str, ack_id: str) -> None:
        self._handling.discard(task)
        if self._last.get(key) is task:
            del self._last[key]
        self._held.pop(ack_id, None)
        self._room.set()

    async def _handle(self, received: ReceivedMessage, before: asyncio.Task[bool] | None) -> bool:
        """Whether the message is done with; of one ordering key, only after the one before it is."""
        message = PulledMessage(
            received.message.message_id,
            received.message.data,
            dict(received.message.attributes),
            received.message.ordering_key,
            received.delivery_attempt,
        )
        try:
            if before is not None:
                await asyncio.wait({before})
                if not _is_done_with(before):
                    await self._refuse(received)
                    return False
            await self._handler(message)
        except Exception:
            log.exception("message %s of %s comes again", message.id, self._name)
            await self._refuse(received)
            return False
        except asyncio.CancelledError:
            await self._refuse(received)
            raise
        await self._settle("acknowledging a message", self._client.acknowledge, ack_ids=[received.ack_id])
        return True

    async def _refuse(self, received: ReceivedMessage) -> None:
        await self._settle(
            "refusing a message", self._client.modify_ack_deadline, ack_ids=[received.ack_id], ack_deadline_seconds=0
        )

    async def _settle(self, what: str, method: Callable[..., Awaitable[Any]], **arguments: Any) -> None:
        try:
            await call(what, method, seconds=ACK_SECONDS, subscription=self._name, **arguments)
        except RaptorFlowError as error:  # it comes again, as after every delivery that is not acknowledged
            log.warning("%s of %s failed: %s", what, self._name, error)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            soon = time.monotonic() - LONGEST_SECONDS
            if ack_ids := [ack_id for ack_id, (since, _size) in self._held.items() if since > soon]:
                try:
                    await call(
                        "renewing leases",
                        self._client.modify_ack_deadline,
                        seconds=RENEW_SECONDS,
                        subscription=self._name,
                        ack_ids=ack_ids,
                        ack_deadline_seconds=LEASE_SECONDS,
                    )
                except Unavailable as error:  # some may come again, as they may at any time
                    log.warning("%s", error)

    async def _drain(self) -> None:
        """Let handlers end, and cancel those that do not."""
        if self._handling:
            _done, pending = await asyncio.wait(self._handling, timeout=DRAIN_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


def _is_done_with(task: asyncio.Task[bool]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result()
