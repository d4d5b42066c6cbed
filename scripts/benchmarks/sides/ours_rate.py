"""Ours: `RateLimitService`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from common.lifecycle import aclose_all
from common.redis.rate_limit import RateLimitService
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(_url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """The limits of P1."""
    limits = RateLimitService(seconds=5)

    async def check(number: int) -> None:
        if not (await limits.check_limit(str(number % 1000), "/benchmark", 100, 60)).allowed:
            raise RuntimeError("refused what was allowed")

    async def fill(number: int) -> None:
        await limits.check_limit(f"full{number}", "/benchmark", 1, 60)

    async def refused(number: int) -> None:
        if (await limits.check_limit(f"full{number}", "/benchmark", 1, 60)).allowed:
            raise RuntimeError("allowed what was to be refused")

    yield {"check": each(check), "fill": each(fill), "refused": each(refused)}
    await aclose_all()


if __name__ == "__main__":
    serve(prepare)
