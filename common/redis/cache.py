"""The cache of a workspace's values (R7): JSON, a read in one command, cleared whole in one command.

    foundation = await CacheService().get_or_set(workspace_id, "foundation", read_foundation, ttl=3600)

A value belongs to one workspace; another's is never given out, nor one that was deleted, overwritten or cleared before
the call. Values with tags are cleared by `invalidate_tag`; how that works stands in `common.redis.cache_generations`,
how a missing value is made once in `cache_refresh`, how it is stored in `cache_entry`.

What only saves work fails open: where Redis cannot be used `get` finds nothing and `get_or_set` runs its factory; a
warning is logged once, `CacheService.statistics` counts. What must take effect raises: an old value would live on
behind a `set`, `delete` or `clear_workspace` that did nothing. Wrong credentials always raise: an operator must act.

Two things are the caller's: a factory inside a database transaction may read what is rolled back later, so cache after
the commit; and `set` stores what it is given, so of data that change use `get_or_set`, which stores nothing that was
made before they were invalidated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import clock
from common.redis import keys
from common.redis.cache_entry import Body, Entry
from common.redis.cache_generations import Place
from common.redis.cache_refresh import Pace, Refresh
from common.redis.cache_store import CacheStatistics, CacheStore, cache_store
from common.redis.client import redis_client
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from common.redis.client import RedisClient

NEGATIVE_TTL = 60.0
"""Seconds for which `get_or_set` keeps None, if its ``ttl`` is not shorter."""


class CacheService:
    """A workspace's cache; make as many as you like, they share what there is to share.

    Args:
        client: to use; None for the one of this process and event loop.
        pace: how long processes wait for each other.
    """

    def __init__(self, client: RedisClient | None = None, *, pace: Pace | None = None) -> None:
        self._client = client
        self._pace = pace or Pace()

    @property
    def statistics(self) -> CacheStatistics:
        """What the cache did in this process and event loop so far."""
        return self._store().statistics

    async def get(self, workspace_id: str, key: str, *, tags: Iterable[str] = ()) -> Any | None:
        """A value, or None for none; None that was stored looks the same.

        X = 1, shared by all who ask in the same turn of the event loop; each gets a copy of his own. One more for a
        value with tags that are not named here.

        Args:
            workspace_id: whose it is.
            key: its name there.
            tags: that it must have, or some of them.

        Raises:
            InvalidKey: a part is empty, too long, or not text.
        """
        store, place = self._store(), Place.of(workspace_id, key, tags)
        seen = await store.look(place)
        hit = None if seen is None else store.hit(place, seen)
        if hit is None:
            store.statistics.misses += 1
            return None
        store.statistics.hits += 1
        return hit[1]

    async def set(
        self, workspace_id: str, key: str, value: Any, ttl: float = 3600, *, tags: Iterable[str] = ()
    ) -> None:
        """Store a value.

        X = 1 where this process has read or cleared the workspace and tags within 10 s, else 2, and one for each
        generation that has to be made. Where another process has cleared them since, the value is a miss.

        Args:
            workspace_id: whose it is.
            key: its name there.
            value: JSON of up to a megabyte.
            ttl: seconds that it lives, 30 days at most.
            tags: to `invalidate_tag` it by, besides `clear_workspace`.

        Raises:
            InvalidKey: a part is empty, too long, or not text.
            InvalidValue: it is not JSON, or too large.
            InvalidTTL: ``ttl`` is not a positive number.
            Unavailable: Redis did not answer in time; what was there before may live on.
        """
        store, place, life = self._store(), Place.of(workspace_id, key, tags), milliseconds(ttl)
        body = Body.of(value)
        generations = await store.generations.to_set(place)
        entry = Entry(generations, body, stale_at=clock.now().timestamp() + ttl)
        await store.client.execute("SET", place.slot, entry.encode(), "PX", life, idempotent=True)

    async def delete(self, workspace_id: str, key: str) -> None:
        """Remove a value, and let none be stored that is being made of older data (X = 1).

        Raises:
            InvalidKey: a part is empty, too long, or not text.
            Unavailable: Redis did not answer in time; the value may live on.
        """
        await self._store().client.execute("DEL", keys.cache(workspace_id, key), idempotent=True)

    async def clear_workspace(self, workspace_id: str) -> None:
        """Make all of a workspace's values a miss, and what is being made of older data too (X = 1).

        Raises:
            InvalidKey: it is empty, too long, or not text.
            Unavailable: Redis did not answer in time; the values may live on.
        """
        await self._store().generations.renew(keys.cache_generation(workspace_id))

    async def invalidate_tag(self, workspace_id: str, tag: str) -> None:
        """Make all of a workspace's values with this tag a miss (X = 1).

        Raises:
            InvalidKey: a part is empty, too long, or not text.
            Unavailable: Redis did not answer in time; the values may live on.
        """
        await self._store().generations.renew(keys.cache_tag(workspace_id, tag))

    async def get_or_set(
        self,
        workspace_id: str,
        key: str,
        factory_fn: Callable[[], Any],
        ttl: float,
        *,
        negative_ttl: float = NEGATIVE_TTL,
        tags: Iterable[str] = (),
    ) -> Any:
        """A value, made by ``factory_fn`` if there is none: once, whoever asks at the same time in whatever process.

        X = 1 where there is one. Making it costs 3 where the server compares and sets in one command, else 5, or 7
        where an outdated value lay there; and one for each generation that has to be made. Waiting for another process
        costs 1 for each look, all callers of this one together. All of them get the factory's error; nothing is stored.

        Args:
            workspace_id: whose it is.
            key: its name there.
            factory_fn: makes it, from this workspace's data; a function or a coroutine function.
            ttl: seconds that it lives, 30 days at most.
            negative_ttl: the same for None, if that is shorter.
            tags: as in `set`; the same ones for one key.

        Raises:
            InvalidKey: a part is empty, too long, or not text.
            InvalidTTL: a time is not a positive number.
            InvalidValue: what the factory made is not JSON, or too large.
            Exception: the factory's.

        Example:
            >>> await CacheService().get_or_set(workspace_id, "icps", read_icps, ttl=600, tags=["foundation"])
        """
        for seconds in (ttl, negative_ttl):
            milliseconds(seconds)  # refuses what is no time before anything is done
        store, place = self._store(), Place.of(workspace_id, key, tags)
        refresh = Refresh(store, place, factory_fn, ttl, min(ttl, negative_ttl), self._pace)
        begun = store.flights.begun
        seen = await store.look(place)
        hit = None if seen is None else store.hit(place, seen)
        flight = store.flights.running(place)
        if seen is not None and seen.raw is not None and hit is not None:
            store.statistics.hits += 1
            (entry, value), raw = hit, seen.raw
            if entry.lease or flight is not None or not refresh.due(entry):
                return value
            flight = store.flights.start(place, lambda own: refresh.early(raw, entry, own))
        else:
            store.statistics.misses += 1
            # A flight that is older than this call may be joined if its lease lies there still: then nothing was
            # deleted, overwritten or cleared since it began. Where Redis cannot say, any is better than one more run.
            lease = seen.entry.lease if seen is not None and seen.entry is not None else None
            if flight is None or not (seen is None or flight.number > begun or flight.lease == lease):
                flight = store.flights.start(place, lambda own: refresh.first(seen, own))
        made = await store.flights.join(place, flight)
        return made.body.value()

    def _store(self) -> CacheStore:
        return cache_store(self._client or redis_client())
