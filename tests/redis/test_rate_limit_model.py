"""Sliding windows against a model that counts by brute force, through bursts, refunds, crashes and wrong clocks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import clock
from common.redis.moments import EPOCH, to_ms
from common.redis.rate_limit import RateLimitService
from common.redis.rate_limit_local import MAX_REFUSED, Buckets, Local, Refusals, local
from common.redis.rate_limit_log import FINE
from common.redis.rate_limit_models import Limit, RateLimitResult
from tests.redis.faults import FATES, Died, faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from datetime import datetime

    from common.redis.client import RedisClient
    from tests.redis.faults import Fate

LIMITS = [("u", "e", 3, 60), ("u", "e", 5, 600), ("w", "e", 4, 60), ("w", "e", 6, 60)]
ENOUGH = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@dataclass
class Entry:
    """One request: when it counts, how much, and whether it was given back."""

    at: datetime
    units: int


@dataclass
class Model:
    """What every limit holds, as one would count by hand.

    Attributes:
        passed: seconds that passed on the server, whatever our clock says.
        entries: of each log, by its key.
        ends: when the server lets a log expire, in seconds passed.
    """

    time: Timeline
    passed: float = 0
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[str, float] = field(default_factory=dict)

    def inside(self, limit: Limit) -> list[Entry]:
        if self.ends.get(limit.key, 0) <= self.passed:
            return []
        cutoff = self.time.now - timedelta(seconds=limit.window_seconds)
        return [entry for entry in self.entries[limit.key] if entry.at > cutoff]

    def check(self, limit: Limit) -> tuple[bool, int, datetime]:
        """Whether it fits, what remains before it is taken, and when it would fit or the first unit comes back."""
        inside = self.inside(limit)
        window = timedelta(seconds=limit.window_seconds)
        used = sum(entry.units for entry in inside)
        if used + limit.cost <= limit.limit:
            oldest = inside[0].at if inside else self.time.now
            return True, limit.limit - used, min(oldest, self.time.now) + window
        for entry in inside:
            used -= entry.units
            if used + limit.cost <= limit.limit:
                remaining = max(0, limit.limit - sum(entry.units for entry in inside))
                return False, remaining, min(entry.at, self.time.now) + window
        raise AssertionError("a cost beyond the limit")

    def take(self, limit: Limit) -> Entry:
        inside = self.inside(limit)
        entry = Entry(max(self.time.now, inside[-1].at) if inside else self.time.now, limit.cost)
        self.entries[limit.key] = [*inside, entry]
        self.ends[limit.key] = self.passed + limit.window_seconds
        return entry


numbers = st.integers(0, len(LIMITS) - 1)
operations = st.one_of(
    st.tuples(st.just("check"), numbers, st.integers(1, 3), st.sampled_from(("ok", "ok", "ok", *FATES))),
    st.tuples(st.just("record"), numbers, st.integers(1, 3), st.just("ok")),
    st.tuples(st.just("both"), numbers, st.integers(1, 2), st.just("ok")),
    st.tuples(st.just("refund"), numbers, st.integers(0, 20), st.just("ok")),
    st.tuples(st.just("peek"), numbers, st.just(1), st.just("ok")),
    st.tuples(st.just("pass"), numbers, st.sampled_from([1, 7, 30, 59, 60, 61, 600]), st.just("ok")),
    st.tuples(st.just("step"), numbers, st.sampled_from([-61_000, -500, -1, 1, 2, 250, 59_999, 60_000]), st.just("ok")),
)


class Run:
    """A run of operations on Redis and on the model."""

    def __init__(self, time: Timeline) -> None:
        self.time, self.model, self.service = time, Model(time), RateLimitService()
        self.granted: list[tuple[RateLimitResult, list[tuple[Limit, Entry]]]] = []

    async def operate(self, name: str, number: int, amount: int, fate: Fate) -> None:
        limit = Limit(*LIMITS[number], min(amount, 3)) if amount > 0 else Limit(*LIMITS[number])
        match name:
            case "check":
                await self.check([limit], fate)
            case "both":
                await self.check([limit, Limit("both", "e", 3, 60)], fate)
            case "record":
                await self.service._ask(local(), [limit], to_ms(self.time.now), refuse=False)
                if not local().away():
                    self.model.take(limit)
            case "refund" if self.granted:
                await self.refund(amount % len(self.granted))
            case "peek":
                found = await self.service.peek(*LIMITS[number])
                fits, remaining, reset = self.model.check(Limit(*LIMITS[number]))
                unused = fits and remaining == limit.limit
                assert (found.allowed, found.remaining) == (fits, max(0, remaining))
                assert found.reset_at == (self.time.now if unused else reset)
            case "pass":
                await self.time.advance(amount)
                self.model.passed += amount
            case "step":
                self.time.step(amount / 1000)

    async def check(self, limits: list[Limit], fate: Fate) -> None:
        answers = [self.model.check(limit) for limit in limits]
        remembered, away = local().refusals.find(limits), local().away()
        try:
            with faults(fate):
                result = await self.service.check_limits(limits)
        except Died:
            local().refusals, local().away_until = Refusals(), None
            if fate == "dies after" and all(fits for fits, _, _ in answers):
                self.take(limits)
            return
        if remembered is not None:
            assert result == remembered
            assert not result.allowed
            if all(self.model.ends.get(limit.key, 0) > self.model.passed for limit in limits):
                # of a log that is ahead of our clock, the end moves with our clock
                refusals = [(remaining, reset) for fits, remaining, reset in answers if not fits]
                assert [
                    reset
                    for remaining, reset in refusals
                    if remaining == result.remaining and reset - MAX_REFUSED <= result.reset_at <= reset
                ]
            return
        if away or fate in {"not sent", "answer lost"}:
            assert (result.allowed, result.degraded) == (True, True)
            if not away and fate == "answer lost" and all(fits for fits, _, _ in answers):
                self.take(limits)
            return
        self.compare(limits, answers, result)

    def compare(self, limits: list[Limit], answers: list[tuple[bool, int, datetime]], result: RateLimitResult) -> None:
        refusals = [(reset, remaining) for fits, remaining, reset in answers if not fits]
        assert result.allowed == (not refusals)
        if refusals:
            assert result.reset_at == max(reset for reset, _ in refusals)
            assert (result.reset_at, result.remaining) in refusals
            assert not result.taken
        else:
            lefts = [remaining - limit.cost for limit, (_, remaining, _) in zip(limits, answers, strict=True)]
            assert result.remaining == min(lefts)
            assert result.reset_at == answers[lefts.index(min(lefts))][2]
            self.granted.append((result, self.take(limits)))

    def take(self, limits: list[Limit]) -> list[tuple[Limit, Entry]]:
        return [(limit, self.model.take(limit)) for limit in limits]

    async def refund(self, number: int) -> None:
        result, taken = self.granted.pop(number)
        expected = 0
        for limit, entry in taken:
            if self.model.ends.get(limit.key, 0) > self.model.passed and entry in self.model.entries[limit.key]:
                expected += entry.units
                self.model.entries[limit.key].remove(entry)
        assert await self.service.refund(result) == expected


@settings(max_examples=60, **ENOUGH)  # type: ignore[arg-type] # of different types
@given(plan=st.lists(operations, min_size=5, max_size=40))
async def test_every_answer_is_what_counting_by_hand_gives(
    client: RedisClient, plan: list[tuple[str, int, int, Fate]]
) -> None:
    await client.execute("FLUSHALL")
    local().refusals, local().away_until = Refusals(), None
    with Timeline(client) as time:
        run = Run(time)
        for operation in plan:
            await run.operate(*operation)


@settings(max_examples=30, **ENOUGH)  # type: ignore[arg-type] # of different types
@given(
    plan=st.lists(
        st.tuples(
            st.sampled_from([FINE - 100, FINE, FINE + 1, 3 * FINE]),
            st.integers(1, 500),
            st.sampled_from([0, 1, 300, 599, 600, 601, 7_000, 59_400, 60_000]),
        ),
        min_size=20,
        max_size=60,
    )
)
async def test_no_window_ever_holds_more_than_its_limit_above_a_thousand_too(
    client: RedisClient, plan: list[tuple[int, int, int]]
) -> None:
    """Also where a plan's limit moves over the border between exact moments and buckets, and back."""
    await client.execute("FLUSHALL")
    taken: list[tuple[datetime, int]] = []
    window = timedelta(seconds=60)
    with Timeline(client) as time:
        for limit, cost, wait in plan:
            time.step(wait / 1000)
            local().refusals = Refusals()
            result = await RateLimitService().check_limit("u", "e", limit, 60, cost=cost)
            inside = sum(units for at, units in taken if at > time.now - window)
            if result.allowed:
                assert inside + cost <= limit
                taken.append((time.now, cost))
            else:
                late = sum(units for at, units in taken if at > time.now - window * 1.01 - timedelta(milliseconds=1))
                assert late + cost > limit, "refused though a hundredth of a window later there was room already"
                assert time.now < result.reset_at <= time.now + window * 1.01


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 2_500])
async def test_a_reset_is_honest_to_the_millisecond(client: RedisClient, limit: int) -> None:
    with Timeline(client) as time:
        await RateLimitService().check_limit("u", "e", limit, 60, cost=limit)
        for _ in range(3):
            refused = await RateLimitService().check_limit("u", "e", limit, 60, cost=limit)
            time.now = refused.reset_at - timedelta(milliseconds=1)
            local().refusals = Refusals()
            assert not (await RateLimitService().check_limit("u", "e", limit, 60, cost=limit)).allowed
            time.now = refused.reset_at
            assert (await RateLimitService().check_limit("u", "e", limit, 60, cost=limit)).allowed


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(1, 12),
    asked=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 12)), min_size=1, max_size=60),
)
def test_a_process_alone_hands_out_no_more_than_the_limit_in_any_window(
    limit: int, asked: list[tuple[int, int]]
) -> None:
    buckets, taken, now = Buckets(), [], 0
    for wait, cost in asked:
        now += wait
        with clock.frozen(EPOCH + timedelta(seconds=now)):
            if cost <= limit and buckets.take([Limit("u", "e", limit, 60, cost)]) == 0:
                taken.append((now, cost))
    for start, _ in taken:
        assert sum(units for at, units in taken if start <= at < start + 60) <= limit


def test_a_process_alone_does_hand_out_something() -> None:
    assert Buckets().take([Limit("u", "e", 1, 60)]) == 0
    assert Buckets().take([Limit("u", "e", 10, 60, 5)]) == 0
    assert Buckets().take([Limit("u", "e", 10, 60, 6)]) == 10
    assert Local(Refusals(), Buckets()).decide([Limit("u", "e", 1, 60)]).allowed
