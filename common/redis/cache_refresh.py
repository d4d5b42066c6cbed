"""How a value that is missing, or about to be, is made once: one process leads, the others wait for what it stores.

    A  MGET: nothing ─▶ SET NX lease A: ours ─▶ factory ──────────────────────▶ SET value IFEQ lease A
    B  MGET: nothing ─▶ SET NX lease B: A's ─▶ sleeps ─▶ MGET: lease A ─▶ sleeps ─▶ MGET: the value
    C                              MGET: lease A ─▶ sleeps ─────▶ MGET: the value
    D                                     DEL: takes lease A away, so A's value, made of older data, is not stored

A lease is short and renewed while its holder works: if A dies the place is empty within `Pace.lease`, and whoever asks
then leads. A follower whose patience ends makes the value himself, and stores it if the lease still lies there, so a
factory that hangs in one process does not hold up the others for good.

A value that is valid may be made anew before it ends, by one of many callers, chosen by chance the more likely the
nearer the end is and the longer it takes (XFetch: Vattani, Chierichetti, Lowenstein, VLDB 2015). The lease then lies
around the old value, and everybody else is given that.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from common import clock
from common.errors import Unavailable
from common.functions.deadline import remaining
from common.redis.cache_entry import Body, Entry
from common.redis.errors import CommandRefused, OutcomeUnknown
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.redis.cache_flight import Flight
    from common.redis.cache_generations import Place
    from common.redis.cache_store import CacheStore, Seen

log = logging.getLogger(__name__)

_BETA = 1.0
"""Of XFetch: above 1 values are made anew earlier."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_NULL = Body.of(None)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long processes wait for each other.

    Attributes:
        lease: seconds after which a process that died, or stands still, is taken over from.
        patience: seconds that a process waits for another's value before it makes one itself.
        draw: a random number from 0 to below 1.
    """

    lease: float = 6.0
    patience: float = 10.0
    draw: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class _Lease:
    """What must still lie at the place when the value is stored.

    Attributes:
        raw: its bytes.
        generations: that the value will be under.
        ours: renewed and given back by us; False for that of another process, which we do not wait for any longer.
        until: seconds since 1970 to which the value that it lies around serves; 0 without one.
        around: the bytes of that value, put back if there will be no new one.
    """

    raw: bytes
    generations: Mapping[str, str]
    ours: bool = True
    until: float = 0.0
    around: bytes = b""


@dataclass(frozen=True, slots=True)
class Refresh:
    """The making of one value.

    Attributes:
        store: to use.
        place: where it belongs.
        factory: makes it; a function or a coroutine function.
        ttl: seconds that it lives.
        negative_ttl: the same for None.
        pace: how long to wait for others.
    """

    store: CacheStore
    place: Place
    factory: Callable[[], Any]
    ttl: float
    negative_ttl: float
    pace: Pace

    def due(self, entry: Entry) -> bool:
        """Whether this caller is to make the value anew before it ends."""
        early = -math.log(1.0 - self.pace.draw()) * entry.delta * _BETA
        return clock.now().timestamp() + early >= entry.stale_at

    async def first(self, seen: Seen | None, flight: Flight[Entry]) -> Entry:
        """Make a value where there is none, or wait for who does.

        Args:
            seen: what lay there; None where Redis could not say, then the value is made and not stored.
            flight: that this is; its lease follows the one in Redis.

        Raises:
            InvalidValue: what was made is not JSON.
            Exception: the factory's.
        """
        found = None if seen is None else await self._value_or_lease(seen, flight)
        if isinstance(found, Entry):
            return found
        return await (self._make({}) if found is None else self._under(found))

    async def early(self, raw: bytes, entry: Entry, flight: Flight[Entry]) -> Entry:
        """Make a value anew while ``entry`` serves; that one if somebody else does so, or if the factory fails.

        Args:
            raw: ``entry``, as it lies there.
            entry: a value.
            flight: that this is.

        Raises:
            Exception: the factory's, if meanwhile ``entry`` ended.
        """
        lease = _Lease(
            raw=replace(entry, lease=flight.lease).encode(),
            generations=entry.generations,
            until=entry.stale_at,
            around=raw,
        )
        if not await self.store.replace(self.place, raw, lease.raw, self._life(lease)):
            return entry
        try:
            return await self._under(lease)
        except Exception:
            if clock.now().timestamp() >= entry.stale_at:
                raise
            log.warning(
                "a cached value could not be made anew", exc_info=True, extra={"fields": {"key": self.place.slot}}
            )
            return entry

    async def _value_or_lease(self, seen: Seen, flight: Flight[Entry]) -> Entry | _Lease | None:
        """What another process stored, or the lease to make it under; None where Redis fails."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + remaining(self.pace.patience)
        own, pause = flight.lease, _FIRST_PAUSE_SECONDS
        try:
            while True:
                generations = await self.store.generations.make_missing(self.place, seen.generations)
                if seen.entry is None or seen.entry.serves():  # nothing, outdated or damaged
                    flight.lease = own
                    lease = _Lease(Entry(generations, lease=own).encode(), generations)
                    found = await self._take(replace(seen, generations=generations), lease)
                    if found is None:
                        return lease
                    seen = found
                else:
                    flight.lease = seen.entry.lease
                    left = ends - loop.time()
                    if left <= 0:
                        return _Lease(seen.raw or b"", generations, ours=False)
                    await asyncio.sleep(min(left, pause * (1.0 - self.pace.draw() / 2)))
                    pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                    seen = await self.store.read(self.place)
                if (hit := self.store.hit(self.place, seen)) is not None:
                    return hit[0]
        except (Unavailable, CommandRefused) as error:
            self.store.complain(error)
            return None

    async def _take(self, seen: Seen, lease: _Lease) -> Seen | None:
        try:
            return await self.store.take(self.place, seen, lease.raw, self._life(lease))
        except OutcomeUnknown as error:
            self.store.complain(error)
            return None  # perhaps it is ours: storing the value will tell

    async def _under(self, lease: _Lease) -> Entry:
        """Make the value and store it, if the lease still lies there; give it back if there is no value."""
        renewing = asyncio.create_task(self._renew(lease)) if lease.ours else None
        try:
            entry = await self._make(lease.generations)
        except (Exception, asyncio.CancelledError):
            if lease.ours:
                await self._give_back(lease)
            raise
        finally:
            if renewing is not None:
                renewing.cancel()
        life = self.negative_ttl if entry.body == _NULL else self.ttl
        await self.store.replace(self.place, lease.raw, entry.encode(), milliseconds(life))
        return entry

    async def _make(self, generations: Mapping[str, str]) -> Entry:
        self.store.statistics.computed += 1
        began = clock.now()
        value = self.factory()
        if inspect.isawaitable(value):
            value = await value
        ended = clock.now()
        life = self.negative_ttl if value is None else self.ttl
        delta = max(0.0, (ended - began).total_seconds())
        return Entry(generations, Body.of(value), delta, ended.timestamp() + life)

    async def _renew(self, lease: _Lease) -> None:
        while True:
            await asyncio.sleep(self.pace.lease / 3)
            if not await self.store.replace(self.place, lease.raw, lease.raw, self._life(lease)):
                return

    async def _give_back(self, lease: _Lease) -> None:
        left = min(self.ttl, lease.until - clock.now().timestamp())
        if left > 0:
            await self.store.replace(self.place, lease.raw, lease.around, milliseconds(left))
        else:
            await self.store.release(self.place, lease.raw)

    def _life(self, lease: _Lease) -> int:
        """Milliseconds for which a lease lies there; a clock that goes wrong cannot make it more than the value's."""
        return milliseconds(self.pace.lease + min(self.ttl, max(0.0, lease.until - clock.now().timestamp())))
