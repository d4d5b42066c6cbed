"""Ours: `UsageTracker`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from common.lifecycle import aclose_all
from common.redis.usage import UsageTracker
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(_url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Counting, and reading all breakdowns."""
    usage, cost = UsageTracker(), Decimal("0.0018")

    async def record(_number: int) -> None:
        await usage.record_usage("workspace", 1_200, cost, "muse")

    async def total(_number: int) -> None:
        await usage.get_usage("workspace")

    yield {"record": each(record), "total": each(total)}
    await aclose_all()


if __name__ == "__main__":
    serve(prepare)
