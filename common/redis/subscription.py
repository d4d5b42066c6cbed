"""One listener of a channel: every message once, in order, also those that were published while nobody listened.

::

    published   1  2  3      4  5  6      7
    connection  |---------| lost   |---------------
    heard live  1  2  3                   7
    read                           4 5 6 (7)        from the stream, backwards to what was heard before
    callback    1  2  3            4 5 6  7         the second 7 is known by its id, and left out

A callback that is slower than its channel is treated in the same way: beyond `MAX_WAITING` messages what comes is left
in the stream, and read from there when the callback has done the rest.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from common.backoff import pauses
from common.errors import RaptorFlowError
from common.redis import keys
from common.redis.client import redis_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

log = logging.getLogger(__name__)

KEPT_MESSAGES = 1000
"""That a stream keeps, and a few more."""

MAX_WAITING = 1000
MAX_KNOWN = 2000
"""Messages whose ids are remembered: more than a stream keeps."""

PAGE = 100
_PAUSES = (0.05, 5.0)


class Subscription:
    """A callback and what it has been told.

    Attributes:
        channel: by its name in Redis.
    """

    def __init__(self, channel: str, callback: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        self.channel = keys.pubsub(channel)
        self._stream = keys.stream(channel)
        self._callback = callback
        self._waiting: deque[bytes] = deque()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._position = "-"
        self._behind = False
        self._stopped = False
        self._pauses: Iterator[float] = pauses(*_PAUSES)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what is published from now on; to be called once the connection listens (X = 1).

        Raises:
            Unavailable: Redis did not answer in time.
        """
        for entry, _ in await self._page("+", count=1):
            self._position = entry
        self._task = asyncio.create_task(self._run(), name=f"listens to {self.channel}")

    async def stop(self) -> None:
        """Call back no more; a call that runs is cancelled, unless it is the one that stops."""
        self._stopped = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            await asyncio.wait([self._task])

    def hear(self, envelope: bytes) -> None:
        """Take a message from the connection."""
        if not self._behind:
            self._waiting.append(envelope)
            self._behind = len(self._waiting) >= MAX_WAITING
        self._wake.set()

    def fall_behind(self) -> None:
        """Something may have been published that was not heard."""
        self._behind = self._task is not None
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopped:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._stopped:
                await self._tell(self._waiting.popleft())
            if self._behind:
                await self._catch_up()

    async def _catch_up(self) -> None:
        self._behind = False  # from here on what is heard waits; what was heard before lies in the stream
        try:
            missed = await self._missed()
        except RaptorFlowError as error:
            log.warning("a live listener cannot catch up yet: %s", error, extra={"fields": {"channel": self.channel}})
            self._waiting.clear()  # younger than what is missing
            self._behind = True
            self._wake.set()
            await asyncio.sleep(next(self._pauses))
            return
        self._pauses = pauses(*_PAUSES)
        while missed and not self._stopped:
            await self._tell(missed.pop())

    async def _missed(self) -> list[bytes]:
        """What the stream has beyond what was told, youngest first (X = 1 for each hundred entries)."""
        missed: list[bytes] = []
        newest, before, met = self._position, "+", False
        while True:
            page = await self._page(before, count=PAGE)
            unknown = [envelope for entry, envelope in page if not self._is_known(entry, envelope)]
            missed += unknown
            met = met or len(unknown) < len(page)
            if before == "+" and page:
                newest = page[0][0]
            if len(page) < PAGE or not unknown:
                break
            before = f"({page[-1][0]}"
        if len(missed) >= KEPT_MESSAGES and not met:
            log.warning("more was published than is kept", extra={"fields": {"channel": self.channel}})
        self._position = newest
        return missed

    async def _page(self, before: str, *, count: int) -> list[tuple[str, bytes]]:
        command = ("XREVRANGE", self._stream, before, self._position, "COUNT", count)
        entries = await redis_client().execute(*command, idempotent=True, raw=True)
        return [(entry.decode(), fields[1]) for entry, fields in entries]

    def _is_known(self, entry: str, envelope: bytes) -> bool:
        opened = _opened(envelope)
        return entry == self._position or (opened is not None and opened[0] in self._known)

    async def _tell(self, envelope: bytes) -> None:
        opened = _opened(envelope)
        if opened is None:
            log.warning("a message of somebody else was left out", extra={"fields": {"channel": self.channel}})
            return
        identity, message = opened
        if identity in self._known:
            return
        self._known[identity] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        try:
            await self._callback(message)
        except Exception:
            log.exception("a live listener failed", extra={"fields": {"channel": self.channel}})


def _opened(envelope: bytes) -> tuple[str, dict[str, Any]] | None:
    """A message with its id; None for what `PubSubService.publish` has not written."""
    try:
        content = json.loads(envelope)
        return str(content["id"]), dict(content["message"])
    except (ValueError, KeyError, TypeError):
        return None
