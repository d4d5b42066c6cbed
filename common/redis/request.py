"""What waits for Redis: commands that leave together, and whom to tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from common.redis.link import Link


@dataclass(slots=True, eq=False)
class Request:
    """Commands that leave together or not at all.

    Attributes:
        payload: the commands, packed.
        commands: how many.
        future: gets all answers, an error among them as our exception.
        seconds: that the caller waits for.
        due: when they have passed, by the loop's clock.
        idempotent: sending it twice does no harm.
        sent_at: when it was written, by the loop's clock; 0 for not yet.
        tries: how often it was written.
        link: it was written to.
        replies: that have come so far.
    """

    payload: bytes
    commands: int
    future: asyncio.Future[list[Any]]
    seconds: float
    due: float
    idempotent: bool
    sent_at: float = 0.0
    tries: int = 0
    link: Link | None = None
    replies: list[Any] = field(default_factory=list)
