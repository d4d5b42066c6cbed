"""Times to live (R21): set, asked for, prolonged; and the clean-up that a schedule calls."""

from __future__ import annotations

import math
from dataclasses import replace

from common.redis.cleanup import MIN_BUDGET, CleanupResult, RedisCleanup, checked_budget
from common.redis.client import redis_client
from common.redis.config import RedisConfig
from common.redis.errors import InvalidKey, InvalidValue
from common.redis.values import milliseconds

_KINDS = ("sessions", "cache", "locks")


class TTLManager:
    """The ends of keys; only of ours, which `common.redis.keys` names.

    Keys are given their end in the command that writes them, so nothing has to look for forgotten ones all the time.

    Example:
        >>> await TTLManager().refresh_ttl(keys.prefs(workspace_id), 3600)
        True
    """

    async def set_ttl(self, key: str, seconds: float) -> bool:
        """Let a key end in so many seconds, sooner or later than it would have; False if there is none (X = 1).

        Raises:
            InvalidKey: the key is not ours.
            InvalidTTL: ``seconds`` is not positive and finite.
            Unavailable: Redis did not answer.
        """
        return await _expire(key, seconds)

    async def get_ttl(self, key: str) -> float | None:
        """Seconds that a key has left; infinite for ever, None if there is none (X = 1).

        Raises:
            InvalidKey: the key is not ours.
            Unavailable: Redis did not answer.
        """
        left = await redis_client().execute("PTTL", _ours(key), idempotent=True)
        if left == -2:
            return None
        return math.inf if left == -1 else left / 1000

    async def refresh_ttl(self, key: str, seconds: float) -> bool:
        """Let a key live for at least so many seconds; whether it lives longer now (X = 1).

        What would have lived longer anyway is left as it is, and what lives for ever too.

        Raises:
            InvalidKey: the key is not ours.
            InvalidTTL: ``seconds`` is not positive and finite.
            Unavailable: Redis did not answer.
        """
        return await _expire(key, seconds, "GT")

    async def cleanup_expired(
        self, *, dry_run: bool = False, budget: int = RedisCleanup.BUDGET, cursor: str | None = None
    ) -> CleanupResult:
        """Clean up sessions, then cache, then locks, as far as the budget reaches; see `RedisCleanup`.

        Args:
            dry_run: count, and change nothing.
            budget: commands that may be spent.
            cursor: of the call before, which this one goes on from; None for the beginning.

        Raises:
            InvalidValue: the budget is too small, or the cursor is none.
            Unavailable: Redis did not answer; the cursor of the call before stays good.
        """
        name, _, rest = (_KINDS[0] if cursor is None else str(cursor)).partition("/")
        if name not in _KINDS:
            raise InvalidValue("a cursor must be the one of the call before, or None to begin")
        checked_budget(budget)
        cleanup = RedisCleanup()
        sweeps = (cleanup.cleanup_expired_sessions, cleanup.cleanup_old_cache, cleanup.cleanup_stale_locks)
        total = CleanupResult(0, 0, 0, 0, None)
        for kind, sweep in list(zip(_KINDS, sweeps, strict=True))[_KINDS.index(name) :]:
            left = budget - total.commands
            if left < MIN_BUDGET and total.commands:
                return replace(total, cursor=kind)
            result = await sweep(dry_run=dry_run, budget=left, cursor=rest or None)
            total = total + result
            if result.cursor is not None:
                return replace(total, cursor=f"{kind}/{result.cursor}")
            rest = ""
        return total


async def _expire(key: str, seconds: float, *condition: str) -> bool:
    life = milliseconds(seconds)
    return bool(await redis_client().execute("PEXPIRE", _ours(key), life, *condition, idempotent=True))


def _ours(key: str) -> str:
    if not str(key).startswith(RedisConfig.KEY_PREFIX):
        raise InvalidKey(f"a key of ours begins with {RedisConfig.KEY_PREFIX}: build it with common.redis.keys")
    return key
