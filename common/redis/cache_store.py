"""The cache's commands: a place is read together with its generations, and changed by comparing what lies there.

MGET place, generations ──▶ valid: the value             X = 1, for all who ask in the same turn of the loop
                        └─▶ SET place lease NX GET       nothing lay there: we lead, or see who does
                        └─▶ SET place lease IFEQ old     something outdated lay there
                            SET place value IFEQ lease   after the work; not where the place changed meanwhile
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import Unavailable
from common.lifecycle import per_loop
from common.redis import keys
from common.redis.cache_entry import CorruptEntry, Entry
from common.redis.cache_flight import Flights
from common.redis.cache_generations import Generations, Place, text_of
from common.redis.compare import delete_if_equal, set_if_equal
from common.redis.errors import CommandRefused, InvalidKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.redis.client import RedisClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What lay at a place.

    Attributes:
        raw: the bytes, to compare with; None for nothing.
        entry: what they say, if all of its generations are current.
        generations: those of the place that exist, by tag.
    """

    raw: bytes | None
    entry: Entry | None
    generations: Mapping[str, str]


@dataclass(slots=True)
class CacheStatistics:
    """What the cache did in this process and event loop.

    Attributes:
        hits: values given out.
        misses: values that were not there.
        computed: runs of a factory.
        corrupt: values that could not be read.
        unavailable: times that Redis could not be used and the caller was served without.
    """

    hits: int = 0
    misses: int = 0
    computed: int = 0
    corrupt: int = 0
    unavailable: int = 0


class CacheStore:
    """What the callers of one client share on one event loop; from `cache_store`.

    Attributes:
        client: to use.
        generations: that it knows.
        flights: values being made.
        statistics: what happened so far.
    """

    def __init__(self, client: RedisClient) -> None:
        self.client = client
        self.generations = Generations(client)
        self.flights: Flights[Entry] = Flights()
        self.statistics = CacheStatistics()
        self._reads: dict[Place, asyncio.Future[Seen | None]] = {}
        self._down = False

    async def read(self, place: Place) -> Seen:
        """What lies there (X = 1; one more if the value has tags that ``place`` does not name).

        Shared by all who ask before the command leaves and by nobody later: no answer is older than its question.

        Raises:
            Unavailable: Redis did not answer in time.
        """
        while (running := self._reads.get(place)) is not None:
            if (seen := await asyncio.shield(running)) is not None:
                return seen  # None: the caller that read was cancelled
        loop = asyncio.get_running_loop()
        shared = self._reads[place] = loop.create_future()
        loop.call_soon(self._left, place, shared)  # the client writes in the next turn
        try:
            seen = await self._read(place)
        except Exception as error:
            shared.set_exception(error)
            shared.exception()  # looked at: there may be nobody else
            raise
        else:
            shared.set_result(seen)
            return seen
        finally:
            self._left(place, shared)
            if not shared.done():
                shared.set_result(None)

    async def look(self, place: Place) -> Seen | None:
        """What lies there, or None where Redis cannot say."""
        try:
            seen = await self.read(place)
        except (Unavailable, CommandRefused) as error:
            self.complain(error)
            return None
        self._down = False
        return seen

    async def take(self, place: Place, seen: Seen, lease: bytes, lease_ms: int) -> Seen | None:
        """Put a lease where ``seen`` lay; None if that was so, else what lies there now (X = 1; 3 by script, 1 to see).

        Raises:
            Unavailable: Redis did not answer in time; `OutcomeUnknown` where the lease may lie there.
        """
        if seen.raw is not None:
            if await set_if_equal(self.client, place.slot, seen.raw, lease, lease_ms):
                return None
            return await self.read(place)
        command = ("SET", place.slot, lease, "NX", "GET", "PX", lease_ms)
        there = await self.client.execute(*command, idempotent=True, raw=True)
        if there is None or there == lease:  # ours: an answer was lost, and the client asked again
            return None
        return Seen(there, await self._entry(place, there, seen.generations), seen.generations)

    async def replace(self, place: Place, lease: bytes, value: bytes, ttl_ms: int) -> bool:
        """Put a value where a lease lies, or renew it; False, and nothing done, if it does not lie there (X = 1, or 3).

        The caller has what it wants already: Redis's troubles are told and are a False.
        """
        try:
            return await set_if_equal(self.client, place.slot, lease, value, ttl_ms)
        except (Unavailable, CommandRefused) as error:
            self.complain(error)
            return False

    async def release(self, place: Place, lease: bytes) -> None:
        """Give up a lease, if it lies there (X = 1, or 3); what cannot be given up ends by itself."""
        try:
            await delete_if_equal(self.client, place.slot, lease)
        except (Unavailable, CommandRefused) as error:
            self.complain(error)

    def complain(self, error: Exception) -> None:
        """Say that callers are served without the cache: once, until it works again."""
        self.statistics.unavailable += 1
        if not self._down:
            self._down = True
            log.warning("the cache cannot be used", extra={"fields": {"reason": f"{type(error).__name__}: {error}"}})

    def hit(self, place: Place, seen: Seen) -> tuple[Entry, Any] | None:
        """What was seen if it may be given out, and its value; a damaged one is told, and is none."""
        if seen.entry is None or not seen.entry.serves():
            return None
        try:
            return seen.entry, seen.entry.body.value()
        except CorruptEntry as error:
            self.corrupt(place, error)
            return None

    def corrupt(self, place: Place, error: Exception) -> None:
        """Say that what lies there is a miss because it is damaged."""
        self.statistics.corrupt += 1
        log.warning("a cached value is damaged", extra={"fields": {"key": place.slot, "reason": str(error)}})

    async def _read(self, place: Place) -> Seen:
        names = (key for _, key in place.generations)
        raw, *there = await self.client.execute("MGET", place.slot, *names, idempotent=True, raw=True)
        current = self.generations.current(place, there)
        return Seen(raw, await self._entry(place, raw, current), current)

    async def _entry(self, place: Place, raw: bytes | None, current: Mapping[str, str]) -> Entry | None:
        """What ``raw`` says, if it was made under all of the place's generations, and all of its own are current."""
        if raw is None:
            return None
        try:
            entry = Entry.decode(raw)
            made = entry.generations
            if not all(tag in current and made.get(tag) == current[tag] for tag, _ in place.generations):
                return None
            unnamed = {tag: keys.cache_tag(place.workspace_id, tag) for tag in made if tag not in current}
        except (CorruptEntry, InvalidKey) as error:
            self.corrupt(place, error)
            return None
        if unnamed:
            there = await self.client.execute("MGET", *unnamed.values(), idempotent=True, raw=True)
            if any(raw is None or text_of(raw) != made[tag] for tag, raw in zip(unnamed, there, strict=True)):
                return None
        return entry

    def _left(self, place: Place, shared: asyncio.Future[Seen | None]) -> None:
        if self._reads.get(place) is shared:
            del self._reads[place]


def cache_store(client: RedisClient) -> CacheStore:
    """The store of a client on the running event loop."""
    stores = _stores()
    if client not in stores:
        stores[client] = CacheStore(client)
    return stores[client]


@per_loop
def _stores() -> dict[RedisClient, CacheStore]:
    return {}
