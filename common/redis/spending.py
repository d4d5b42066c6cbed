"""A user's budget for a month: what work may cost is held back first, so no number of works at once exceeds it.

    held = await SpendingBudget().reserve(user_id, estimate, limit=row.limit, spent=row.spent)   # or OverBudget: 402
    try:
        run = await agent(...)
    except BaseException:
        await SpendingBudget().refund(held)
        raise
    await SpendingBudget().commit(held, run.cost)

Limits lie in Postgres: the caller passes the row that it read, and what Postgres knows to be spent, so that a budget
which Redis has lost does not begin again at nothing. A process that dies leaves its reservation, which ends by itself.

    1234567;01J… 1764052800000 10000;01K… 1764052860000 0
    └ millionths of a dollar that are spent
            └ a reservation, when it ends, how much    └ one that was committed, remembered to do so only once
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from common import clock, ids
from common.errors import InvalidInput, RaptorFlowError
from common.redis import keys
from common.redis.client import redis_client
from common.redis.errors import Overloaded
from common.redis.lua.usage import BUDGET_COMMIT, BUDGET_REFUND, BUDGET_RESERVE
from common.redis.moments import billing_day, to_ms
from common.redis.usage_models import to_micros, to_usd
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

RESERVED_SECONDS = 900.0
TTL_SECONDS = 100 * 86_400
SKEW = timedelta(seconds=5)
"""That clocks may differ: a reservation ends so much later than it says, lest another machine give it away before."""

REMEMBERED = timedelta(minutes=1)
"""That a commit is remembered, to be repeated without harm."""

MAX_ENTRIES = 1_000
_ENTRY = re.compile(r";(\S+) (\d+) (\d+)")


class OverBudget(RaptorFlowError):  # noqa: N818 - what happened
    """Too little is left of a budget: 402.

    Attributes:
        left: in US dollars.
    """

    def __init__(self, left: Decimal) -> None:
        super().__init__(f"too little is left of this month's budget: {left} US dollars")
        self.left = left


@dataclass(frozen=True, slots=True)
class Reservation:
    """A part of a budget that nobody else can spend.

    Attributes:
        id: its own.
        user_id: whose budget.
        period: the month it is taken from, ``2026-11``, whenever it is committed.
        amount: US dollars.
        ends_at: when it ends, committed or not.
    """

    id: str
    user_id: str
    period: str
    amount: Decimal
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """Of a budget, in US dollars: what is spent, and what is held back for work that runs."""

    spent: Decimal
    reserved: Decimal


class SpendingBudget:
    """Budgets of users. Every method may be repeated without harm, also after a lost answer."""

    async def reserve(
        self, user_id: str, amount: Decimal, *, limit: Decimal, spent: Decimal, seconds: float = RESERVED_SECONDS
    ) -> Reservation:
        """Hold back the most that the work may cost (X = 3; 2 if there is too little).

        Args:
            user_id: whose budget.
            amount: US dollars; if the work costs more after all, the budget is exceeded by the difference.
            limit: US dollars for this month, from the user's row.
            spent: US dollars this month, as far as Postgres knows; the higher one of this and what Redis knows counts.
            seconds: that the work takes at most; then others may have it.

        Raises:
            OverBudget: there is too little left.
            InvalidInput: a number or a name is not what it says.
            Overloaded: a thousand reservations of this user are held or were committed within a minute.
            Unavailable: Redis did not answer in time: nothing is known to be held back, so do not spend.
        """
        micros = to_micros(amount, "a reservation")
        if micros == 0:
            raise InvalidInput("a reservation must be of more than nothing: what costs nothing needs none")
        now, life = clock.now(), milliseconds(seconds, "a reservation")
        held = Reservation(ids.new_id(), user_id, _month(now), amount, now + timedelta(milliseconds=life))
        status, left = await redis_client().run(
            BUDGET_RESERVE,
            [keys.budget(user_id, held.period)],
            [
                to_ms(now),
                held.id,
                to_ms(held.ends_at + SKEW),
                micros,
                to_micros(limit, "a limit"),
                to_micros(spent, "what is spent"),
                milliseconds(TTL_SECONDS),
                MAX_ENTRIES,
            ],
            idempotent=True,
        )
        if status == 0:
            raise OverBudget(to_usd(max(0, left)))
        if status < 0:
            raise Overloaded("too many reservations of one user at once", retry_after=REMEMBERED.total_seconds())
        return held

    async def commit(self, held: Reservation, cost: Decimal) -> bool:
        """Spend what the work did cost, and let go of the rest (X = 3); False if this was done before.

        What was spent counts in any case: also beyond the reservation, or after it has ended.

        Raises:
            InvalidInput: the cost is not what it says.
            Unavailable: Redis did not answer in time: repeat it within a minute, or Postgres alone knows of it.
        """
        now = clock.now()
        done: int = await redis_client().run(
            BUDGET_COMMIT,
            [keys.budget(held.user_id, held.period)],
            [to_ms(now), held.id, to_micros(cost), to_ms(now + REMEMBERED), milliseconds(TTL_SECONDS)],
            idempotent=True,
        )
        return done == 1

    async def refund(self, held: Reservation) -> bool:
        """Let go of all of it: nothing was spent (X = 3); False if nothing was held any more (X = 2).

        Raises:
            Unavailable: Redis did not answer in time; it ends by itself.
        """
        gone: int = await redis_client().run(
            BUDGET_REFUND,
            [keys.budget(held.user_id, held.period)],
            [to_ms(clock.now()), held.id, milliseconds(TTL_SECONDS)],
            idempotent=True,
        )
        return gone == 1

    async def balance(self, user_id: str) -> Balance:
        """This month's budget as Redis knows it (X = 1).

        Raises:
            Unavailable: Redis did not answer in time.
        """
        now = clock.now()
        log = await redis_client().get(keys.budget(user_id, _month(now))) or "0"
        reserved = sum(int(amount) for _, ends, amount in _ENTRY.findall(log) if int(ends) > to_ms(now))
        return Balance(to_usd(int(log.partition(";")[0])), to_usd(reserved))


def _month(instant: datetime) -> str:
    return f"{billing_day(instant):%Y-%m}"
