"""``limits``: its moving window, exact as ours is, on redis-py."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from limits import RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string

from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """The limits of P1."""
    storage = storage_from_string(f"async+{url}", implementation="redispy", max_connections=64)
    limiter = MovingWindowRateLimiter(storage)
    wide, narrow = RateLimitItemPerSecond(100, 60), RateLimitItemPerSecond(1, 60)

    async def check(number: int) -> None:
        if not await limiter.hit(wide, str(number % 1000)):
            raise RuntimeError("refused what was allowed")

    async def fill(number: int) -> None:
        await limiter.hit(narrow, f"full{number}")

    async def refused(number: int) -> None:
        if await limiter.hit(narrow, f"full{number}"):
            raise RuntimeError("allowed what was to be refused")

    yield {"check": each(check), "fill": each(fill), "refused": each(refused)}


if __name__ == "__main__":
    serve(prepare)
