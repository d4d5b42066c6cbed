"""Whether Redis is well (R23): for probes, the health page and alerts.

ok          answers, and there is room
degraded    answers, but memory runs short, or the server does not say how much is used
down        does not answer, or refuses our password
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from common.errors import Misconfigured, RaptorFlowError
from common.redis.client import redis_client
from common.redis.info import Section, keys_of, size_problem, whole

if TYPE_CHECKING:
    from common.redis.client import RedisClient

log = logging.getLogger(__name__)

SAMPLES = 5
FULL_PERCENT = 80.0
"""Of the quota, from where on memory is short: at 100 % a database without eviction refuses writes."""


class HealthStatus(StrEnum):
    """How well it is."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """Memory against the plan's quota.

    Attributes:
        used: bytes; None where the server does not tell.
        quota: bytes, of the setting ``REDIS_MEMORY_QUOTA_MB``.
        status: `HealthStatus.OK` or ``DEGRADED``.
        problem: what is wrong; empty where nothing is.
    """

    used: int | None
    quota: int
    status: HealthStatus
    problem: str = ""

    @property
    def percent(self) -> float | None:
        """Of the quota; None where the server does not tell."""
        return None if self.used is None else 100 * self.used / self.quota


@dataclass(frozen=True, slots=True)
class Latency:
    """Of round trips, in milliseconds.

    Attributes:
        p50: the median of `SAMPLES`.
        p95: of so few it is the slowest.
    """

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Everything that one round trip can tell.

    Attributes:
        status: the worst of all parts.
        latency: of that round trip, in milliseconds, connecting included where that was needed; None when down.
        memory: None when down.
        keys: in the database; None where the server does not tell.
        problems: a sentence for each thing that is wrong.
    """

    status: HealthStatus
    latency: float | None
    memory: MemoryStatus | None
    keys: int | None
    problems: tuple[str, ...]


class RedisHealthChecker:
    """Asks how Redis is.

    Args:
        client: of the server; None for the one that everybody shares.

    Attributes:
        quota: bytes that the plan holds.

    Raises:
        Misconfigured: ``REDIS_MEMORY_QUOTA_MB`` is not a positive whole number.

    Example:
        >>> (await RedisHealthChecker().report()).status
        <HealthStatus.OK: 'ok'>
    """

    def __init__(self, client: RedisClient | None = None) -> None:
        self._client = client
        self.quota = _quota()

    async def check_connection(self) -> bool:
        """Whether it answers: liveness (X = 1). Why it does not is logged."""
        try:
            return bool(await self._redis().execute("PING", idempotent=True) == "PONG")
        except RaptorFlowError as error:
            log.warning("Redis gives no sign of life", extra={"fields": {"reason": str(error)}})
            return False

    async def check_latency(self) -> float:
        """The median round trip of `SAMPLES`, in milliseconds; see `measure_latency`.

        Raises:
            Unavailable: it did not answer in time.
        """
        return (await self.measure_latency()).p50

    async def measure_latency(self) -> Latency:
        """Send `SAMPLES` PINGs, one after another (X = 5, RT = 5).

        The first one opens the connection where there is none; that shows in ``p95``.

        Raises:
            Unavailable: it did not answer in time.
        """
        taken = []
        for _ in range(SAMPLES):
            began = time.perf_counter()
            await self._redis().ping()
            taken.append(_milliseconds_since(began))
        taken.sort()
        return Latency(p50=taken[SAMPLES // 2], p95=taken[-1])

    async def check_memory(self) -> MemoryStatus:
        """Memory against the quota (X = 1).

        Raises:
            Unavailable: it did not answer in time.
            Misconfigured: it refuses our password.
        """
        (reply,) = await self._redis().pipeline([("INFO", "memory")], idempotent=True)
        return self._memory(reply)

    async def report(self) -> HealthReport:
        """All that one round trip can tell (X = 3); it never raises because of what it finds."""
        began = time.perf_counter()
        try:
            alive, info, size = await self._redis().pipeline(
                [("PING",), ("INFO", "memory"), ("DBSIZE",)], idempotent=True
            )
        except RaptorFlowError as error:
            return _down(error)
        if alive != "PONG":
            return _down(alive)
        latency = _milliseconds_since(began)
        memory = self._memory(info)
        problems = tuple(problem for problem in (memory.problem, size_problem(size)) if problem)
        status = HealthStatus.DEGRADED if problems else HealthStatus.OK
        return HealthReport(status, latency, memory, keys_of(size), problems)

    def _redis(self) -> RedisClient:
        return self._client or redis_client()

    def _memory(self, reply: Any) -> MemoryStatus:
        section = Section.read("memory", reply)
        used = section.number("used_memory")
        if used is None:
            problem = section.problem or "INFO memory does not tell used_memory"
        elif 100 * used >= FULL_PERCENT * self.quota:
            problem = f"{100 * used / self.quota:.0f} % of the memory is used: delete keys or choose a larger plan"
        else:
            problem = ""
        return MemoryStatus(used, self.quota, HealthStatus.DEGRADED if problem else HealthStatus.OK, problem)


def _quota() -> int:
    megabytes = whole(os.environ.get("REDIS_MEMORY_QUOTA_MB") or "256")
    if not megabytes:
        raise Misconfigured("REDIS_MEMORY_QUOTA_MB must be a positive whole number: the megabytes of the plan")
    return megabytes * 1_000_000


def _milliseconds_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _down(answer: Any) -> HealthReport:
    return HealthReport(HealthStatus.DOWN, None, None, None, (f"Redis is down: {answer}",))
