"""Figures of the Redis server and of our connection to it (R22), for dashboards; `common.redis.health` judges them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.redis.client import redis_client
from common.redis.info import Section, keys_of, size_problem

if TYPE_CHECKING:
    from common.redis.batching import Statistics
    from common.redis.client import RedisClient

_SECTIONS = ("memory", "clients", "stats")


@dataclass(frozen=True, slots=True)
class RedisMetricsReport:
    """What the server tells; None where it does not.

    Attributes:
        memory_used: bytes.
        keys_count: keys, those not counted out that have just expired.
        connections: of all clients.
        ops_per_second: commands that the server ran in the last second, those inside scripts not included.
        hits: reads that found their key, since the server's start.
        misses: reads that did not.
        evicted_keys: removed for want of memory, since the server's start: with eviction off, as ours is, 0.
        client: what this process's connection did so far.
        problems: a sentence for each part that could not be read.
    """

    memory_used: int | None
    keys_count: int | None
    connections: int | None
    ops_per_second: int | None
    hits: int | None
    misses: int | None
    evicted_keys: int | None
    client: Statistics
    problems: tuple[str, ...]


class RedisMetrics:
    """Reads the figures.

    Args:
        client: of the server; None for the one that everybody shares.

    Example:
        >>> (await RedisMetrics().get_metrics()).keys_count
        1250
    """

    def __init__(self, client: RedisClient | None = None) -> None:
        self._client = client

    async def get_metrics(self) -> RedisMetricsReport:
        """All of them, in one round trip (X = 4).

        Raises:
            Unavailable: Redis did not answer in time.
            Misconfigured: the password is refused.
        """
        client = self._client or redis_client()
        commands = [*(("INFO", name) for name in _SECTIONS), ("DBSIZE",)]
        *replies, size = await client.pipeline(commands, idempotent=True)
        memory, clients, stats = map(Section.read, _SECTIONS, replies)
        problems = [section.problem for section in (memory, clients, stats)]
        return RedisMetricsReport(
            memory_used=memory.number("used_memory"),
            keys_count=keys_of(size),
            connections=clients.number("connected_clients"),
            ops_per_second=stats.number("instantaneous_ops_per_sec"),
            hits=stats.number("keyspace_hits"),
            misses=stats.number("keyspace_misses"),
            evicted_keys=stats.number("evicted_keys"),
            client=replace(client.statistics),
            problems=tuple(problem for problem in (*problems, size_problem(size)) if problem),
        )
