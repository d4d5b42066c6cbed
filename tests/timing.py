"""When something ends, compared with a timer of the same event loop: a slow machine delays both alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def late(work: Awaitable[object], seconds: float) -> float:
    """How many seconds ``work`` ends after a timer of ``seconds`` that begins with it; negative for before."""
    loop = asyncio.get_running_loop()
    rung: asyncio.Future[float] = loop.create_future()
    loop.call_later(seconds, lambda: rung.set_result(loop.time()))
    await work
    ended = loop.time()
    return ended - await rung
