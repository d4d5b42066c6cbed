"""Locks under everything at once: several holders, clocks that jump, answers that are lost, processes that die.

Whatever happens: the server has one holder; at most one believes to be it, and it is the one that the server has; every
holder's fencing number is above all earlier ones; what is free can be taken, and a dead holder's lock becomes free.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Unavailable
from common.redis import keys, leases, locks
from common.redis.locks import DistributedLock
from tests.redis.counting import keys_without_end
from tests.redis.faults import FATES, Died, faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.client import RedisClient
    from tests.redis.faults import Fate

LEASE = 10
WHO = st.sampled_from([0, 0, 1, 1, 2])
SOME_FATES: st.SearchStrategy[list[Fate]] = st.one_of(
    st.just([]), st.just([]), st.lists(st.sampled_from(FATES), min_size=1, max_size=3)
)
ACTS = st.tuples(
    st.sampled_from(["acquire", "acquire", "acquire", "release", "release", "extend"]),
    WHO,
    SOME_FATES,
    st.sampled_from([True, True, True, False]),
)
PASSES = st.tuples(st.just("advance"), st.sampled_from([1, 4, 6, 6, 11, 100_000]))
JUMPS = st.tuples(st.just("jump"), WHO, st.sampled_from([-3600, -1, 0, 1, 3600]))
CLOCKS = st.lists(st.sampled_from([-3600, 0, 0, 3600]), min_size=3, max_size=3)


@dataclass
class World:
    """What the test knows: who holds what, by whose clock."""

    client: RedisClient
    time: Timeline
    clocks: list[int]
    passed: float = 0.0
    highest: int = 0
    holders: list[DistributedLock] = field(default_factory=lambda: [DistributedLock() for _ in range(3)])

    async def token(self) -> str | None:
        """Who holds it, as the server says."""
        return await self.client.get(keys.lock("r"))

    async def act(self, what: str, who: int, fates: Sequence[Fate], fenced: bool) -> None:
        holder, before = self.holders[who], await self.token()
        had = holder.lease("r")
        result: bool | None = None
        self.time.step(self.clocks[who])
        try:
            with faults(*fates):
                if what == "acquire" and had is None:
                    result = await holder.acquire("r", timeout=0, ttl=LEASE, fenced=fenced)
                elif what == "release":
                    result = await holder.release("r")
                elif what == "extend":
                    result = await holder.extend("r", LEASE)
        except Unavailable:
            pass
        except Died:
            self.holders[who] = DistributedLock()
        finally:
            self.time.step(-self.clocks[who])
        after = await self.token()
        if what == "acquire" and had is None and result is not None:
            assert result == (before is None or after != before)
            if result and fenced:
                self.follows(holder)
            assert result or fates or before is not None
        elif result is not None and had is not None:
            assert result
            assert (after == had.token) == (what == "extend")
        await self.remember()

    def follows(self, holder: DistributedLock) -> None:
        lease = holder.lease("r")
        assert lease is not None
        assert lease.fence > self.highest

    async def remember(self) -> None:
        """What the server numbered last, whether or not anybody heard of it."""
        last = int(await self.client.get(keys.lock_fence("r")) or 0)
        assert last == 0 or last >= self.highest
        self.highest = max(self.highest, last)

    async def check(self) -> None:
        believing = [lease.token for holder in self.holders if (lease := holder.lease("r")) is not None]
        assert len(believing) <= 1
        if believing:
            assert believing == [await self.token()]
        assert await keys_without_end(self.client) == set()

    async def advance(self, seconds: float) -> None:
        self.passed += seconds
        await self.time.advance(seconds)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CLOCKS, st.lists(st.one_of(ACTS, ACTS, ACTS, PASSES, JUMPS), min_size=3, max_size=15))
async def test_one_holder_in_order_whatever_happens(client: RedisClient, clocks: list[int], steps: list[Any]) -> None:
    await client.execute("FLUSHALL")
    with Timeline(client) as time:
        world = World(client, time, clocks)
        with patch.object(leases, "monotonic", lambda: world.passed), patch.object(locks, "monotonic", lambda: 0.0):
            for what, *arguments in steps:
                if what == "advance":
                    await world.advance(*arguments)
                elif what == "jump":
                    who, seconds = arguments
                    world.clocks[who] = seconds
                else:
                    await world.act(what, *arguments)
                await world.check()
            await world.advance(LEASE)
            last = DistributedLock()
            assert await last.acquire("r", timeout=0)
            world.follows(last)
