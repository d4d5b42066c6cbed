"""What each workspace uses (R11): one hash for a month, counted in whole numbers.

    usage:{workspace_id}:2026-11      t|25|MuseEngine  tokens on the 25th
                                      c|25|MuseEngine  millionths of a dollar on the 25th

Limits lie in Postgres, so whoever makes a tracker says how to read them: ``UsageTracker(limits_of)`` gets an
asynchronous function from a workspace's id to its `Allowance`. The tracker tells when to stop starting work, a moment
late; what must not be exceeded at all is reserved first: `common.redis.spending`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, TypeAlias

from common import clock
from common.errors import InvalidInput, Misconfigured
from common.lifecycle import per_loop
from common.redis import keys
from common.redis.client import redis_client, require
from common.redis.lua.usage import RECORD_ONCE
from common.redis.moments import billing_day
from common.redis.remembered import Remembered
from common.redis.usage_models import MAX_TOKENS, Allowance, Amount, UsageStats, to_micros, to_usd
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from datetime import date

LimitsOf: TypeAlias = Callable[[str], Awaitable[Allowance]]

MONTH_TTL_SECONDS = 100 * 86_400
"""That a month is kept since its last new day or agent."""

EVENT_TTL_SECONDS = 7 * 86_400
"""That an event is remembered: as long as Pub/Sub keeps a message."""

MAX_AGENT_CHARACTERS = 100
COPY = timedelta(seconds=5)
"""That `UsageTracker.check_limit` believes what it read."""

_PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_AGENT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


class UsageTracker:
    """Tokens and costs of workspaces.

    Args:
        limits_of: reads a workspace's limits; recording needs none.

    Example:
        >>> await UsageTracker().record_usage(workspace_id, 1_200, Decimal("0.0018"), "MuseEngine", event_id=run_id)
        True
    """

    def __init__(self, limits_of: LimitsOf | None = None) -> None:
        self._limits_of = limits_of

    async def record_usage(
        self, workspace_id: str, tokens: int, cost: Decimal, agent: str, *, event_id: str | None = None
    ) -> bool:
        """Count what an agent used, now; False for an event that is counted already.

        Args:
            workspace_id: whose.
            tokens: from 0.
            cost: US dollars, rounded up to a millionth.
            agent: its name, any text.
            event_id: of the run; given, counting the same one again does nothing (X = 4), and a lost connection goes
                unnoticed. Without it (X = 2) a repetition counts twice. Once for each day and agent one more.

        Raises:
            InvalidInput: a number or a name is not what it says; nothing was counted.
            OutcomeUnknown: sent, but no answer came.
            Unavailable: not counted; or with ``event_id``, to be repeated in any case.
        """
        key, fields = _counted(workspace_id, tokens, cost, agent)
        if event_id is not None:
            lives = [milliseconds(EVENT_TTL_SECONDS), milliseconds(MONTH_TTL_SECONDS)]
            mark = keys.usage_event(workspace_id, event_id)
            arguments = [*lives, *(part for field in fields for part in field)]
            return bool(await redis_client().run(RECORD_ONCE, [mark, key], arguments, idempotent=True))
        ending = _local().ending
        expire = ("PEXPIRE", key, milliseconds(MONTH_TTL_SECONDS))
        known = ending.get(key) is not None
        steps = [("HINCRBY", key, name, amount) for name, amount in fields]
        replies = require(await redis_client().pipeline(steps if known else [*steps, expire]))
        if known and replies[0] == tokens:  # a new field, so perhaps a new hash: somebody removed the one we knew
            await redis_client().execute(*expire, idempotent=True)
        ending.put(key, key, until=clock.now() + timedelta(days=1))
        return True

    async def get_usage(self, workspace_id: str, period: str = "current_month") -> UsageStats:
        """A month's totals, by agent and by day (X = 1).

        Args:
            workspace_id: whose.
            period: ``current_month`` or ``2026-11``.

        Raises:
            InvalidInput: the period is neither.
            Unavailable: Redis did not answer in time.
        """
        month = _month(period)
        found = require(await redis_client().pipeline([("HGETALL", keys.usage(workspace_id, month))], idempotent=True))
        by_agent, by_day = _folded(found[0], month)
        total = sum(by_day.values(), Amount())
        allowance = Allowance(None) if self._limits_of is None else await self._limits_of(workspace_id)
        return UsageStats(
            period=month,
            total_tokens=total.tokens,
            total_cost=total.cost,
            by_agent=by_agent,
            by_day=by_day,
            limit_tokens=allowance.limit_tokens,
            limit_cost=allowance.limit_cost,
            percentage_used=_percentage(total, allowance),
        )

    async def get_daily_breakdown(self, workspace_id: str) -> dict[str, Amount]:
        """This month's usage on each day on which there was some (X = 1).

        Raises:
            Unavailable: Redis did not answer in time.
        """
        return (await self.get_usage(workspace_id)).by_day

    async def check_limit(self, workspace_id: str) -> bool:
        """Whether its owner's workspaces together are below every limit (X = 1 for each of them; 0 for five seconds).

        Raises:
            Misconfigured: the tracker was made without ``limits_of``.
            Unavailable: Redis did not answer in time.
        """
        if self._limits_of is None:
            raise Misconfigured("limits are in Postgres: make the tracker with UsageTracker(limits_of)")
        within, asked = _local().within, (self._limits_of, workspace_id)
        known = within.get(asked)
        if known is None:
            allowance = await self._limits_of(workspace_id)
            known = await _within(workspace_id, allowance)
            within.put(asked, known, until=clock.now() + COPY)
        return known


async def _within(workspace_id: str, allowance: Allowance) -> bool:
    month = _month("current_month")
    sharing = {workspace_id, *allowance.shared_with}
    steps = [("HGETALL", keys.usage(workspace, month)) for workspace in sorted(sharing)]
    replies = require(await redis_client().pipeline(steps, idempotent=True))
    used = sum((sum(_folded(reply, month)[1].values(), Amount()) for reply in replies), Amount())
    tokens, cost = max(used.tokens, allowance.spent.tokens), max(used.cost, allowance.spent.cost)
    return (allowance.limit_tokens is None or tokens < allowance.limit_tokens) and (
        allowance.limit_cost is None or cost < allowance.limit_cost
    )


def _counted(workspace_id: str, tokens: int, cost: Decimal, agent: str) -> tuple[str, list[tuple[str, int]]]:
    """The key, and the fields with what they grow by."""
    if type(tokens) is not int or not 0 <= tokens <= MAX_TOKENS:
        raise InvalidInput(f"tokens must be a whole number from 0 to {MAX_TOKENS}")
    if type(agent) is not str or len(agent) > MAX_AGENT_CHARACTERS or not _AGENT.fullmatch(agent):
        raise InvalidInput(f"an agent's name is 1 to {MAX_AGENT_CHARACTERS} characters without control characters")
    micros = to_micros(cost)
    today = _today()
    key = keys.usage(workspace_id, f"{today:%Y-%m}")
    return key, [(f"t|{today:%d}|{agent}", tokens), (f"c|{today:%d}|{agent}", micros)]


def _folded(flat: list[str], month: str) -> tuple[dict[str, Amount], dict[str, Amount]]:
    """By agent and by day, from a hash's fields and values."""
    by_agent: defaultdict[str, Amount] = defaultdict(Amount)
    by_day: defaultdict[str, Amount] = defaultdict(Amount)
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        kind, day, agent = name.split("|", 2)
        amount = Amount(tokens=int(value)) if kind == "t" else Amount(cost=to_usd(int(value)))
        by_agent[agent] += amount
        by_day[f"{month}-{day}"] += amount
    return dict(sorted(by_agent.items())), dict(sorted(by_day.items()))


def _percentage(used: Amount, allowance: Allowance) -> Decimal:
    pairs = [(Decimal(used.tokens), allowance.limit_tokens), (used.cost, allowance.limit_cost)]
    shares = [amount / limit * 100 if limit else Decimal(100) for amount, limit in pairs if limit is not None]
    return max(shares, default=Decimal(0)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _month(period: str) -> str:
    if period == "current_month":
        return f"{_today():%Y-%m}"
    if type(period) is not str or not _PERIOD.fullmatch(period):
        raise InvalidInput("a period is current_month, or a year and a month such as 2026-11")
    return period


def _today() -> date:
    return billing_day(clock.now())


@dataclass(slots=True)
class _Local:
    """What one event loop of one process knows: hashes that have an end, and who was below the limits."""

    ending: Remembered[str, str]
    within: Remembered[tuple[LimitsOf, str], bool]


@per_loop
def _local() -> _Local:
    return _Local(Remembered(10_000), Remembered(10_000))
