"""A clock that a test moves: for our code, and for what Redis lets expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self
from unittest.mock import patch

from common import clock
from common.redis.client import require

if TYPE_CHECKING:
    from types import TracebackType

    from common.redis.client import RedisClient

START = datetime(2026, 11, 25, 6, 30, tzinfo=UTC)


class Timeline:
    """Time as a test wants it, from `START` on.

    Example:
        >>> with Timeline(client) as time:
        ...     await time.advance(1800)
    """

    def __init__(self, client: RedisClient) -> None:
        self.now = START
        self._client = client
        self._patch = patch.object(clock, "now", lambda: self.now)

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._patch.stop()

    def step(self, seconds: float) -> None:
        """Move our clock alone, back too: what a machine's clock does when it is set right."""
        self.now += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Let time pass, here and on the server: every key is so much older."""
        self.now += timedelta(seconds=seconds)
        gone = round(seconds * 1000)
        names = await self._client.execute("KEYS", "*")
        left = require(await self._client.pipeline([("PTTL", name) for name in names]))
        aged = {name: milliseconds - gone for name, milliseconds in zip(names, left, strict=True) if milliseconds >= 0}
        steps = [("PEXPIRE", name, left) if left > 0 else ("DEL", name) for name, left in aged.items()]
        require(await self._client.pipeline(steps))
