"""Exact sliding windows (R9): never more than the limit in any stretch of time as long as the window.

    limit, window = get_limit("/api/v1/agents/execute", tier)
    result = await RateLimitService().check_limit(user_id, "/api/v1/agents/execute", limit, window)
    if not result.allowed: ...                                # 429 with result.headers()

One script reads the log of a limit, decides, and counts; `common.redis.rate_limit_log` says what the log is. Time comes
from the caller's clock and never runs backwards in a log: units count no earlier than the newest ones there, so a clock
that is behind refuses too much rather than too little.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common import clock
from common.errors import InvalidInput, Misconfigured, Unavailable
from common.redis.client import redis_client
from common.redis.errors import CommandRefused
from common.redis.lua.rate_limit import RATE_LIMIT_SCRIPT, RATE_REFUND
from common.redis.moments import from_ms, to_ms
from common.redis.rate_limit_config import get_limit, on_failure
from common.redis.rate_limit_local import AWAY, Local, local
from common.redis.rate_limit_log import Standing, answers, moment, question, read
from common.redis.rate_limit_models import Limit, RateLimitResult, Taken

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


class RateLimitService:
    """Limits of requests.

    Args:
        seconds: to wait for Redis before the endpoint's policy decides.
    """

    def __init__(self, *, seconds: float = 0.5) -> None:
        self._seconds = seconds

    async def check_limit(
        self, user_id: str, endpoint: str, limit: int, window_seconds: float, *, cost: int = 1
    ) -> RateLimitResult:
        """Take ``cost`` units if they fit (X = 3; 2 if refused; 0 if refused by the same process a moment ago).

        Raises:
            InvalidInput: a number or a name is not what it says; see `Limit`.
        """
        return await self._check([Limit(user_id, endpoint, limit, window_seconds, cost)])

    async def check_limits(self, limits: Sequence[Limit]) -> RateLimitResult:
        """Take from several limits if all of them allow it, else from none, in one step (X = 1 + 2 for each).

        Their keys lie anywhere, so this needs a server that is not sharded, as Upstash is not.

        Raises:
            InvalidInput: there is no limit, or the same twice.

        Example:
            >>> endpoint = "/api/v1/muse/generate"
            >>> names = (endpoint, "daily")
            >>> await limits.check_limits([Limit(user_id, name, *get_limit(name, tier)) for name in names])
        """
        if len({limit.key for limit in limits}) != len(limits) or not limits:
            raise InvalidInput("several limits must be different ones, and at least one")
        return await self._check(limits)

    async def record_request(self, user_id: str, endpoint: str, *, cost: int = 1) -> None:
        """Count a request that runs in any case, in the window that `rate_limit_config` names (X = 3).

        While Redis does not answer it is not counted, which the log says: the request has been allowed by then.

        Raises:
            InvalidInput: see `Limit`.
        """
        limit = Limit(user_id, endpoint, *get_limit(endpoint, "free"), cost)
        await self._ask(local(), [limit], to_ms(clock.now()), refuse=False)

    async def peek(self, user_id: str, endpoint: str, limit: int, window_seconds: float) -> RateLimitResult:
        """What `check_limit` would say, without counting (X = 1).

        Raises:
            InvalidInput: see `Limit`.
            Unavailable: Redis did not answer in time.
        """
        asked, now = Limit(user_id, endpoint, limit, window_seconds), to_ms(clock.now())
        standing = read(await redis_client().get(asked.key), asked, now)
        if standing.used == 0:
            standing = standing._replace(oldest=now - asked.window_ms)  # nothing has to come back
        return _say(asked, standing, now, remaining=max(0, limit - standing.used), taken=[])

    async def refund(self, result: RateLimitResult) -> int:
        """Give back what an allowed check took: the request did not run after all. How many units came back (X = 3).

        A result is refunded once; what has left its window by now does not come back. Other processes may go on
        refusing for `MAX_REFUSED`.

        Raises:
            Unavailable: Redis did not answer in time; nothing may have come back, and it is not tried again.
        """
        taken = result.taken[:]
        result.taken.clear()
        if not taken:
            return 0
        for one in taken:
            local().refusals.forget(one.key)
        units = [f"{one.moment} {one.units}" for one in taken]
        back: int = await redis_client().run(RATE_REFUND, [one.key for one in taken], units)
        return back

    async def _check(self, limits: Sequence[Limit]) -> RateLimitResult:
        own, now = local(), to_ms(clock.now())
        known = own.refusals.find(limits)
        if known is not None:
            return known
        answer = await self._ask(own, limits, now, refuse=True)
        if answer is None:
            return own.decide(limits)
        allowed, pairs = answer[0], list(zip(limits, answer[1], strict=True))
        return _grant(pairs, now) if allowed else _refuse(own, pairs, now)

    async def _ask(
        self, own: Local, limits: Sequence[Limit], now: int, *, refuse: bool
    ) -> tuple[bool, list[Standing]] | None:
        """Run the script; None where Redis does not answer, or did not a moment ago."""
        for limit in limits:
            own.refusals.forget(limit.key)
        if own.away():
            return None
        questions = [question(limit, now) for limit in limits]
        try:
            return answers(
                await redis_client().run(
                    RATE_LIMIT_SCRIPT,
                    [limit.key for limit in limits],
                    ["1" if refuse else "0", *questions],
                    seconds=self._seconds,
                )
            )
        except (Unavailable, Misconfigured, CommandRefused) as error:
            own.away_until = clock.now() + AWAY
            policies = {limit.endpoint: on_failure(limit.endpoint) for limit in limits}
            log.log(
                logging.WARNING if isinstance(error, Unavailable) else logging.ERROR,
                "limits are decided without Redis for a second (%s)",
                type(error).__name__,
                extra={"fields": {"reason": str(error), "policies": policies}},
            )
            return None


def _grant(pairs: Sequence[tuple[Limit, Standing]], now: int) -> RateLimitResult:
    """The answer of the limit of which the fewest remain."""
    limit, standing = min(pairs, key=_left)
    taken = [Taken(one.key, its.at, one.cost) for one, its in pairs]
    return _say(limit, standing, now, remaining=_left((limit, standing)), taken=taken)


def _left(pair: tuple[Limit, Standing]) -> int:
    return pair[0].limit - pair[1].used - pair[0].cost


def _refuse(own: Local, pairs: Sequence[tuple[Limit, Standing]], now: int) -> RateLimitResult:
    """The answer of the limit that is the last to allow it."""
    refused = []
    for limit, standing in pairs:
        if standing.leaves:
            result = _say(limit, standing, now, remaining=max(0, limit.limit - standing.used), taken=[])
            own.refusals.add(limit, result, from_ms(standing.oldest + limit.window_ms))
            refused.append(result)
    return max(refused, key=lambda result: result.reset_at)


def _say(limit: Limit, standing: Standing, now: int, *, remaining: int, taken: list[Taken]) -> RateLimitResult:
    """An answer: enough is back when what must leave has left, or the first unit where nothing must.

    That is within a window, since then the log has expired: a clock that was wrong may have counted far ahead.
    """
    reset = min(standing.leaves or standing.oldest, moment(limit, now)) + limit.window_ms
    return RateLimitResult(
        allowed=not standing.leaves,
        remaining=remaining,
        reset_at=from_ms(reset),
        reset_after=max(0, reset - now) / 1000,
        limit=limit.limit,
        window_seconds=limit.window_seconds,
        taken=taken,
    )
