"""What a process decides about limits by itself: refusals it has just heard, and everything while Redis is away."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common import clock
from common.lifecycle import per_loop
from common.redis.rate_limit_config import on_failure
from common.redis.rate_limit_models import Limit, RateLimitResult
from common.redis.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Sequence

CAPACITY = 10_000
"""Limits that a process remembers something of."""

MAX_REFUSED = timedelta(seconds=5)
"""That a refusal is believed: another process may have given something back, or a plan may have changed."""

AWAY = timedelta(seconds=1)
"""That Redis is not asked again once it did not answer, so that not every caller waits for it."""


class Refusals:
    """Limits that were used up a moment ago, and are until the first unit leaves their window."""

    def __init__(self) -> None:
        self._results: Remembered[str, tuple[Limit, RateLimitResult]] = Remembered(CAPACITY)

    def find(self, limits: Sequence[Limit]) -> RateLimitResult | None:
        """The refusal that asking again would bring; it is of the same limit and the same cost."""
        for limit in limits:
            found = self._results.get(limit.key)
            if found is not None and found[0] == limit:
                left = (found[1].reset_at - clock.now()).total_seconds()
                return replace(found[1], reset_after=left)
        return None

    def add(self, limit: Limit, result: RateLimitResult, oldest_leaves: datetime) -> None:
        """Remember a refusal while what was said of it stays true."""
        self._results.put(limit.key, (limit, result), until=min(oldest_leaves, clock.now() + MAX_REFUSED))

    def forget(self, key: str) -> None:
        """Something was taken from, or given back to, a limit."""
        self._results.forget(key)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class Buckets:
    """Token buckets that, one process for itself, hand out no more than the limit in any window.

    A bucket holds half of the limit and is refilled with the other half evenly over a window; so a request that costs
    more than half waits until Redis is back.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, limits: Sequence[Limit]) -> float:
        """Take from all of them, or from none; seconds until it may work, 0 if it did."""
        buckets = [self._refilled(limit) for limit in limits]
        waits = [
            (limit.cost - bucket.tokens) * limit.window_seconds / _refill(limit)
            for limit, bucket in zip(limits, buckets, strict=True)
            if bucket.tokens < limit.cost
        ]
        if waits:
            return max(waits)
        for limit, bucket in zip(limits, buckets, strict=True):
            bucket.tokens -= limit.cost
        return 0.0

    def _refilled(self, limit: Limit) -> _Bucket:
        now = clock.now()
        bucket = self._buckets.setdefault(limit.key, _Bucket(_capacity(limit), now))
        self._buckets.move_to_end(limit.key)
        if len(self._buckets) > CAPACITY:
            self._buckets.popitem(last=False)
        passed = max(0.0, (now - bucket.at).total_seconds())
        bucket.tokens = min(_capacity(limit), bucket.tokens + passed * _refill(limit) / limit.window_seconds)
        bucket.at = max(now, bucket.at)
        return bucket


def _capacity(limit: Limit) -> int:
    return (limit.limit + 1) // 2


def _refill(limit: Limit) -> int:
    """Units per window. Half-open windows hold less than capacity + refill, so one more than the rest of the limit."""
    return limit.limit + 1 - _capacity(limit)


@dataclass(slots=True)
class Local:
    """What one event loop of one process knows.

    Attributes:
        refusals: see `Refusals`.
        buckets: see `Buckets`.
        away_until: until when Redis is not asked.
    """

    refusals: Refusals
    buckets: Buckets
    away_until: datetime | None = None

    def away(self) -> bool:
        """Whether Redis failed a moment ago."""
        return self.away_until is not None and self.away_until - AWAY <= clock.now() < self.away_until

    def decide(self, limits: Sequence[Limit]) -> RateLimitResult:
        """What the policies of `rate_limit_config` say; the strictest decides."""
        now = clock.now()
        wait = 0.0
        if any(on_failure(limit.endpoint) == "refuse" for limit in limits):
            wait = AWAY.total_seconds()
        elif own := [limit for limit in limits if on_failure(limit.endpoint) == "local"]:
            wait = self.buckets.take(own)
        return RateLimitResult(
            allowed=wait == 0,
            remaining=0,
            reset_at=now + timedelta(seconds=wait),
            reset_after=wait,
            limit=limits[0].limit,
            window_seconds=limits[0].window_seconds,
            degraded=True,
        )


@per_loop
def local() -> Local:
    """What this event loop of this process knows."""
    from common.redis import link  # noqa: F401, PLC0415 - the client library, whose import is no time of Redis's

    return Local(Refusals(), Buckets())
