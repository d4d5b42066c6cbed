"""What an operation costs: commands that the server executed, those inside Lua included, and round trips.

    async with count() as spent:
        await operation()
    assert (spent.commands, spent.round_trips) == (3, 1), spent

The server counts, not the client: INFO commandstats and INFO stats (total_reads_processed) before and after. Commands
of everybody on that server are counted, so nothing else may run meanwhile. A round trip is a read of the server's:
exact for an operation that waits for each answer and sends less than 16 KB at a time.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.redis.client import RedisClient, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from common.redis.config import RedisConfig


@dataclass
class Spent:
    """What was spent, once the block has ended.

    Attributes:
        commands: executed, those inside scripts included: what Upstash bills (X).
        round_trips: reads by the server (RT).
        by_name: how often each command was executed.
    """

    commands: int = 0
    round_trips: int = 0
    by_name: dict[str, int] = field(default_factory=dict)


if TYPE_CHECKING:
    Count = Callable[[], AbstractAsyncContextManager[Spent]]


class Counter:
    """Counts on one server, over a connection of its own."""

    def __init__(self, config: RedisConfig) -> None:
        self._client = RedisClient(config)

    async def aclose(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Spent]:
        """Count while the context lasts."""
        await self._client.ping()
        spent = Spent()
        commands, reads = await self._figures()
        yield spent
        commands_after, reads_after = await self._figures()
        commands_after["info"] -= 2  # the one before, which counted itself too late, and none of the one after
        spent.by_name = {
            name: calls - commands.get(name, 0)
            for name, calls in commands_after.items()
            if calls != commands.get(name, 0)
        }
        spent.commands = sum(spent.by_name.values())
        spent.round_trips = reads_after - reads - 1

    async def _figures(self) -> tuple[dict[str, int], int]:
        commandstats, stats = require(await self._client.pipeline([("INFO", "commandstats"), ("INFO", "stats")]))
        commands = {"info": 0}
        for line in commandstats.splitlines():
            if line.startswith("cmdstat_"):
                name, _, values = line.removeprefix("cmdstat_").partition(":")
                calls = int(values.partition("calls=")[2].partition(",")[0])
                commands[name] = calls
        reads = next(int(line.partition(":")[2]) for line in stats.splitlines() if "total_reads_processed" in line)
        return commands, reads


async def keys_without_end(client: RedisClient) -> set[str]:
    """Keys that live for ever: each must be bounded by an index or a cap that its service names."""
    found: set[str] = set()
    cursor = "0"
    while True:
        cursor, names = await client.execute("SCAN", cursor, "COUNT", 1000)
        ends = require(await client.pipeline([("TTL", name) for name in names]))
        found |= {name for name, left in zip(names, ends, strict=True) if left == -1}
        if cursor == "0":
            return found
