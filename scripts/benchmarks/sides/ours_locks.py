"""Ours: `DistributedLock`, with and without a fencing number."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from common.lifecycle import aclose_all
from common.redis.locks import DistributedLock
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(_url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Pairs of acquire and release, and the same by ``hold``, which renews."""

    async def pair(number: int, *, fenced: bool = False) -> None:
        lock, resource = DistributedLock(), f"lock{number % 32}"
        if not await lock.acquire(resource, timeout=0, fenced=fenced) or not await lock.release(resource):
            raise RuntimeError("somebody else holds it")

    async def fenced(number: int) -> None:
        await pair(number, fenced=True)

    async def held(number: int) -> None:
        async with DistributedLock().hold(f"lock{number % 32}", timeout=0):
            pass

    yield {"pair": each(pair), "fenced": each(fenced), "held": each(held)}
    await aclose_all()


if __name__ == "__main__":
    serve(prepare)
