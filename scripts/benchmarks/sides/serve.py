"""A process that does one thing many times whenever it is asked; the standard library only, so that it runs anywhere.

Asked by a line of JSON, ``{"operation": "check", "tasks": 32, "count": 3200}``; answers with another one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    Operation: TypeAlias = Callable[[int, int], Awaitable[Any]]
    """Takes how many tasks at once and how often in all; what it returns is told."""

    Prepare: TypeAlias = Callable[[str], AbstractAsyncContextManager[Mapping[str, Operation]]]
    """Takes the server's URL."""


def each(once: Callable[[int], Awaitable[Any]]) -> Operation:
    """An operation of one that is done for every number, each task with numbers of its own."""

    async def many(tasks: int, count: int) -> None:
        async def lane(first: int) -> None:
            for number in range(first, count, tasks):
                await once(number)

        await asyncio.gather(*(lane(first) for first in range(tasks)))

    return many


def serve(prepare: Prepare) -> None:
    """Answer until the input ends."""
    asyncio.run(_serve(prepare))


async def _serve(prepare: Prepare) -> None:
    async with prepare(os.environ["BENCHMARK_REDIS_URL"]) as operations:
        _tell({"ready": True})
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            began = time.perf_counter()
            result = await operations[asked["operation"]](asked["tasks"], asked["count"])
            _tell({"seconds": time.perf_counter() - began, "result": result})


def _tell(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
