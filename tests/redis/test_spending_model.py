"""Budgets against a model, through crashes, lost answers and wrong clocks: nothing exceeded, nothing counted twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import ids
from common.errors import Unavailable
from common.redis.spending import SKEW, Balance, OverBudget, Reservation, SpendingBudget
from tests.redis.counting import keys_without_end
from tests.redis.faults import FATES, Died, faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.faults import Fate

CENT = Decimal("0.01")
LIMIT = 100


@dataclass
class Run:
    """Operations on a budget of one dollar, and what it holds as one would note it by hand.

    Attributes:
        spent: cents.
        held: cents and end of each reservation, also of those whose owner never learned of them.
        working: whose owner is alive.
    """

    time: Timeline
    spent: int = 0
    held: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    working: list[Reservation] = field(default_factory=list)

    def live(self) -> int:
        return sum(cents for cents, ends in self.held.values() if ends + SKEW > self.time.now)

    def write(self) -> None:
        """Each write drops what has ended: it does not come back with a clock that is set back."""
        self.held = {name: held for name, held in self.held.items() if held[1] + SKEW > self.time.now}

    async def operate(self, name: str, number: int, fate: Fate) -> None:
        match name:
            case "pass":
                await self.time.advance(number)
            case "step":
                self.time.step(number)
            case "reserve":
                await self.reserve(number, fate)
            case "commit" | "refund" if self.working:
                await self.end(name, self.working.pop(number % len(self.working)), fate)

    async def reserve(self, cents: int, fate: Fate) -> None:
        free = LIMIT - self.spent - self.live()
        try:
            with faults(fate):
                made = await SpendingBudget().reserve(
                    "u", cents * CENT, limit=LIMIT * CENT, spent=Decimal(0), seconds=60
                )
        except OverBudget as error:
            assert cents > free
            assert error.left == max(0, free) * CENT
        except (Unavailable, Died):
            if fate in {"answer lost", "dies after"} and cents <= free:
                self.write()
                self.held[ids.new_id()] = (cents, self.time.now + timedelta(seconds=60))
        else:
            assert cents <= free
            self.write()
            self.held[made.id] = (cents, made.ends_at)
            self.working.append(made)

    async def end(self, name: str, made: Reservation, fate: Fate) -> None:
        cost = int(made.amount / CENT) // 2
        try:
            with faults(fate):
                await self.commit_or_refund(name, made, cost)
        except Unavailable:
            await self.commit_or_refund(name, made, cost)  # repeated, as its caller should
        except Died:
            if fate == "dies before":
                return
        if name == "commit" or made.ends_at + SKEW > self.time.now:
            self.held.pop(made.id, None)
            self.write()
        self.spent += cost if name == "commit" else 0

    async def commit_or_refund(self, name: str, made: Reservation, cost: int) -> None:
        await (SpendingBudget().commit(made, cost * CENT) if name == "commit" else SpendingBudget().refund(made))


fates = st.sampled_from(("ok", "ok", *FATES))
operations = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 40), fates),
    st.tuples(st.sampled_from(["commit", "refund"]), st.integers(0, 20), fates),
    st.tuples(st.just("pass"), st.sampled_from([1, 30, 59, 64, 65, 300]), st.just("ok")),
    st.tuples(st.just("step"), st.sampled_from([-30, -1, 1]), st.just("ok")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(operations, min_size=5, max_size=40))
async def test_a_budget_holds_what_counting_by_hand_gives(
    client: RedisClient, plan: list[tuple[str, int, Fate]]
) -> None:
    await client.execute("FLUSHALL")
    with Timeline(client) as time:
        run = Run(time)
        for operation in plan:
            await run.operate(*operation)
            assert await SpendingBudget().balance("u") == Balance(run.spent * CENT, run.live() * CENT)
    assert not await keys_without_end(client)
