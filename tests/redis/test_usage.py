"""Usage: whole numbers that lose and invent nothing, at two commands a record."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import InvalidInput, Misconfigured, Unavailable
from common.redis import keys
from common.redis.errors import OutcomeUnknown
from common.redis.usage import COPY, UsageTracker
from common.redis.usage_models import Allowance, Amount, to_micros, to_usd
from tests.redis.counting import keys_without_end
from tests.redis.faults import faults
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

CENT = Decimal("0.01")


async def test_a_month_by_agent_and_by_day(client: RedisClient) -> None:
    tracker = UsageTracker()
    with Timeline(client) as time:
        await tracker.record_usage("w", 100, CENT, "MuseEngine")
        await tracker.record_usage("w", 50, Decimal("0.005"), "Market|Researcher")
        time.step(86_400)
        await tracker.record_usage("w", 7, Decimal("0.0000001"), "MuseEngine")
        await tracker.record_usage("another", 999, Decimal(9), "MuseEngine")
        stats = await tracker.get_usage("w")
        assert (stats.period, stats.total_tokens, stats.total_cost) == ("2026-11", 157, Decimal("0.015001"))
        assert stats.by_agent == {
            "Market|Researcher": Amount(50, Decimal("0.005")),
            "MuseEngine": Amount(107, Decimal("0.010001")),
        }
        assert stats.by_day == {
            "2026-11-25": Amount(150, Decimal("0.015")),
            "2026-11-26": Amount(7, Decimal("0.000001")),
        }
        assert await tracker.get_daily_breakdown("w") == stats.by_day
        assert (stats.limit_tokens, stats.limit_cost) == (None, None)
        assert stats.percentage_used == 0
    assert not await keys_without_end(client)


async def test_days_and_months_are_indias(client: RedisClient) -> None:
    with Timeline(client) as time:
        time.now = datetime(2026, 11, 30, 18, 29, tzinfo=UTC)
        await UsageTracker().record_usage("w", 1, CENT, "a")
        time.step(60)
        await UsageTracker().record_usage("w", 2, CENT, "a")
        assert (await UsageTracker().get_usage("w")).by_day == {"2026-12-01": Amount(2, CENT)}
        assert (await UsageTracker().get_usage("w", "2026-11")).by_day == {"2026-11-30": Amount(1, CENT)}
        assert (await UsageTracker().get_usage("w", "2026-10")).total_tokens == 0


async def test_what_operations_cost(client: RedisClient, count: Count) -> None:
    tracker = UsageTracker()
    for agent, commands, trips in (("a", 3, 1), ("a", 2, 1), ("b", 3, 2), ("b", 2, 1)):
        async with count() as spent:
            await tracker.record_usage("w", 10, CENT, agent)
        assert (spent.commands, spent.round_trips) == (commands, trips), spent
    for event, agent, commands in (("e1", "a", 4), ("e2", "c", 5), ("e1", "a", 2)):
        async with count() as spent:
            assert await tracker.record_usage("w", 10, CENT, agent, event_id=event) == (commands != 2)
        assert (spent.commands, spent.round_trips) == (commands, 1), spent
    async with count() as spent:
        assert (await tracker.get_usage("w")).total_tokens == 60
    assert (spent.commands, spent.round_trips) == (1, 1), spent
    assert not await keys_without_end(client)


async def test_a_hash_that_was_removed_gets_an_end_again(client: RedisClient) -> None:
    await UsageTracker().record_usage("w", 10, CENT, "a")
    await client.execute("FLUSHALL")
    await UsageTracker().record_usage("w", 10, CENT, "a")
    assert await client.execute("DBSIZE") == 1
    assert not await keys_without_end(client)


async def test_an_event_counts_once_however_often_its_answer_is_lost(client: RedisClient) -> None:
    tracker = UsageTracker()
    with faults("answer lost"), pytest.raises(OutcomeUnknown):
        await tracker.record_usage("w", 5, CENT, "a", event_id="run")
    assert not any(await asyncio.gather(*(tracker.record_usage("w", 5, CENT, "a", event_id="run") for _ in range(9))))
    assert await tracker.record_usage("v", 5, CENT, "a", event_id="run"), "another workspace's event"
    assert (await tracker.get_usage("w")).total_tokens == 5


async def test_an_event_of_the_last_minute_of_a_month_counts_in_one_month_only(client: RedisClient) -> None:
    with Timeline(client) as time:
        time.now = datetime(2026, 11, 30, 18, 29, 59, tzinfo=UTC)
        assert await UsageTracker().record_usage("w", 5, CENT, "a", event_id="run")
        time.step(10)
        assert not await UsageTracker().record_usage("w", 5, CENT, "a", event_id="run")
        assert (await UsageTracker().get_usage("w", "2026-12")).total_tokens == 0


records = st.lists(
    st.tuples(
        st.sampled_from(["a", "b|c", "t|25|a", "é"]),
        st.integers(0, 10**12),
        st.decimals(0, 1000, places=9),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=records)
async def test_sums_are_exact(client: RedisClient, plan: list[tuple[str, int, Decimal, int]]) -> None:
    await client.execute("FLUSHALL")
    agents: defaultdict[str, Amount] = defaultdict(Amount)
    days: defaultdict[str, Amount] = defaultdict(Amount)
    with Timeline(client) as time:
        for agent, tokens, cost, later in plan:
            time.now = START + timedelta(days=later)
            await UsageTracker().record_usage("w", tokens, cost, agent)
            counted = Amount(tokens, to_usd(to_micros(cost)))
            agents[agent] += counted
            days[f"2026-11-{25 + later}"] += counted
        stats = await UsageTracker().get_usage("w")
    assert (stats.by_agent, stats.by_day) == (agents, days)
    assert Amount(stats.total_tokens, stats.total_cost) == sum(days.values(), Amount())
    assert not await keys_without_end(client)


@given(st.integers(0, 10**12 - 1), st.integers(1, 28))
def test_millionths_come_back_whatever_precision_a_caller_has_set(micros: int, precision: int) -> None:
    with localcontext() as context:
        context.prec = precision
        assert to_usd(micros) == Decimal(f"{micros}E-6")
        assert to_micros(to_usd(micros)) == micros
        assert to_micros(Decimal(f"{micros}.4E-6")) == micros + 1, "rounded up"


class Postgres:
    """Says what a test wants, and how often it was asked."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance, self.asked = allowance, 0

    async def limits_of(self, workspace_id: str) -> Allowance:
        self.asked += 1
        return self.allowance


async def test_a_budget_is_shared_by_an_owners_workspaces(client: RedisClient, count: Count) -> None:
    postgres = Postgres(Allowance(Decimal(1), shared_with=("v",)))
    tracker = UsageTracker(postgres.limits_of)
    with Timeline(client) as time:
        await tracker.record_usage("w", 10, Decimal("0.6"), "a")
        await tracker.record_usage("v", 10, Decimal("0.3"), "a")
        async with count() as spent:
            assert await tracker.check_limit("w")
        assert (spent.commands, spent.round_trips) == (2, 1), spent
        await tracker.record_usage("v", 10, Decimal("0.1"), "a")
        async with count() as spent:
            assert await UsageTracker(postgres.limits_of).check_limit("w"), "a copy, five seconds old at most"
        assert (spent.commands, postgres.asked) == (0, 1)
        time.step(COPY.total_seconds())
        assert not await tracker.check_limit("w")
        stats = await tracker.get_usage("w")
        assert stats.limit_cost == 1
        assert stats.percentage_used == 60


@pytest.mark.parametrize(
    ("allowance", "within", "percentage"),
    [
        (Allowance(None), True, "0"),
        (Allowance(None, limit_tokens=301), True, "99.67"),
        (Allowance(None, limit_tokens=300), False, "100"),
        (Allowance(Decimal("0.02"), limit_tokens=600), True, "50"),
        (Allowance(Decimal("0.01"), limit_tokens=600), False, "100"),
        (Allowance(Decimal(0)), False, "100"),
        (Allowance(Decimal(1), spent=Amount(0, Decimal(1))), False, "1"),
        (Allowance(None, limit_tokens=400, spent=Amount(400)), False, "75"),
    ],
)
async def test_limits(client: RedisClient, allowance: Allowance, within: bool, percentage: str) -> None:
    """What Postgres knows to be spent counts, too: a Redis that lost everything does not begin at nothing."""
    tracker = UsageTracker(Postgres(allowance).limits_of)
    await tracker.record_usage("w", 300, CENT, "a")
    assert await tracker.check_limit("w") == within
    assert (await tracker.get_usage("w")).percentage_used == Decimal(percentage)


async def test_a_tracker_without_limits_says_so(client: RedisClient) -> None:
    with pytest.raises(Misconfigured, match="UsageTracker\\(limits_of\\)"):
        await UsageTracker().check_limit("w")


async def test_while_redis_is_away_nobody_is_told_that_nothing_was_used(client: RedisClient) -> None:
    tracker = UsageTracker(Postgres(Allowance(Decimal(1))).limits_of)
    for operation in (tracker.check_limit, tracker.get_usage, tracker.get_daily_breakdown):
        with faults("not sent"), pytest.raises(Unavailable):
            await operation("w")
    assert await tracker.check_limit("w")


NONSENSE: list[tuple[Any, ...]] = [
    ("w", -1, CENT, "a"),
    ("w", 10**12 + 1, CENT, "a"),
    ("w", 1.0, CENT, "a"),
    ("w", True, CENT, "a"),
    ("w", 1, 0.01, "a"),
    ("w", 1, 1, "a"),
    ("w", 1, "0.01", "a"),
    ("w", 1, -CENT, "a"),
    ("w", 1, Decimal("NaN"), "a"),
    ("w", 1, Decimal("sNaN"), "a"),
    ("w", 1, Decimal("Infinity"), "a"),
    ("w", 1, Decimal("1E+999999"), "a"),
    ("w", 1, Decimal("1E-999999"), "a"),
    ("w", 1, CENT, ""),
    ("w", 1, CENT, "x" * 101),
    ("w", 1, CENT, "a\nb"),
    ("w", 1, CENT, "\ud800"),
    ("w", 1, CENT, None),
    ("", 1, CENT, "a"),
]


@pytest.mark.parametrize("arguments", NONSENSE)
async def test_nonsense_is_refused_before_anything_is_sent(
    client: RedisClient, count: Count, arguments: tuple[Any, ...]
) -> None:
    async with count() as spent:
        for event in (None, "e"):
            with pytest.raises(InvalidInput):
                await UsageTracker().record_usage(*arguments, event_id=event)
        with pytest.raises(InvalidInput):
            await UsageTracker().record_usage("w", 1, CENT, "a", event_id="")
    assert spent.commands == 0


@pytest.mark.parametrize("period", ["", "2026", "2026-13", "2026-1", "last_month", "2026-11\n", None, 202611])
async def test_a_period_is_a_month(client: RedisClient, period: Any) -> None:
    with pytest.raises(InvalidInput, match="current_month"):
        await UsageTracker().get_usage("w", period)


async def test_on_the_double(mock_redis: RedisClient) -> None:
    assert await UsageTracker().record_usage("w", 5, CENT, "a")
    assert await UsageTracker().record_usage("w", 5, CENT, "a", event_id="e")
    assert not await UsageTracker().record_usage("w", 5, CENT, "a", event_id="e")
    assert (await UsageTracker().get_usage("w")).total_tokens == 10
    assert await mock_redis.ttl(keys.usage("w", (await UsageTracker().get_usage("w")).period)) > 0
