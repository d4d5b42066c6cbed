"""Generations: what makes any number of cached values a miss with one command.

A generation is a random text in a key of its own, one for each workspace and one for each tag in it; a value carries
those that it was made under. To clear is to write a new one. It is no number that grows: a counter that has expired or
was evicted would count up to an old value again. Where one is missing nothing is valid, until a value is stored and
makes a new one, by SET NX so that all who do it at the same time agree.
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.ids import new_id
from common.redis import keys
from common.redis.client import require
from common.redis.errors import InvalidKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from common.redis.client import RedisClient

LIFE_MS = 30 * 86_400_000
"""That a generation lives from its making; what was stored under it is a miss then, whatever its own time."""

REMEMBERED_SECONDS = 10.0
"""That a `set` may use what this process has read or written: an outdated generation only makes its value a miss."""

_MAX_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies, and what it is under.

    Attributes:
        workspace_id: whose it is.
        slot: its key.
        generations: the keys of its generations, by tag; the workspace's under the empty name.
    """

    workspace_id: str
    slot: str
    generations: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, workspace_id: str, key: str, tags: Iterable[str] = ()) -> Place:
        """The place of a workspace's value.

        Raises:
            InvalidKey: a part is empty, too long, or not text.
        """
        if isinstance(tags, str):
            raise InvalidKey(f"tags are a list of names: [{tags!r}] rather than {tags!r}")
        return cls(workspace_id, keys.cache(workspace_id, key), _generation_keys(workspace_id, tuple(tags)))


@functools.lru_cache(maxsize=256)
def _generation_keys(workspace_id: str, tags: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    tagged = ((tag, keys.cache_tag(workspace_id, tag)) for tag in dict.fromkeys(tags))
    return (("", keys.cache_generation(workspace_id)), *tagged)


@dataclass(slots=True)
class Generations:
    """The generations that one client reads and makes."""

    client: RedisClient
    _remembered: dict[str, tuple[str, float]] = field(default_factory=dict)

    def current(self, place: Place, there: Sequence[Any]) -> dict[str, str]:
        """Those of a place that exist, by tag, from what lies at their keys."""
        current = {}
        for (tag, key), raw in zip(place.generations, there, strict=True):
            if raw is None:
                self._remembered.pop(key, None)
            else:
                current[tag] = text_of(raw)
                self._remember(key, current[tag])
        return current

    async def make_missing(self, place: Place, known: Mapping[str, str]) -> dict[str, str]:
        """All of a place, made where they are not known (X = 1 for each, in one round trip).

        Raises:
            Unavailable: Redis did not answer in time.
        """
        missing = [(tag, key, new_id()) for tag, key in place.generations if tag not in known]
        if not missing:
            return dict(known)
        steps = [("SET", key, fresh, "NX", "GET", "PX", LIFE_MS) for _, key, fresh in missing]
        there = require(await self.client.pipeline(steps, idempotent=True, raw=True))
        made = {}
        for (tag, key, fresh), old in zip(missing, there, strict=True):
            made[tag] = fresh if old is None else text_of(old)
            self._remember(key, made[tag])
        return {**known, **made}

    async def to_set(self, place: Place) -> dict[str, str]:
        """All of a place for a value that was made elsewhere: remembered (X = 0), else read (X = 1), else made.

        Raises:
            Unavailable: Redis did not answer in time.
        """
        now = time.monotonic()
        known = {}
        for tag, key in place.generations:
            generation, at = self._remembered.get(key, ("", -math.inf))
            if now - at <= REMEMBERED_SECONDS:
                known[tag] = generation
        if len(known) < len(place.generations):
            there = await self.client.execute("MGET", *(key for _, key in place.generations), idempotent=True, raw=True)
            known = self.current(place, there)
        return await self.make_missing(place, known)

    async def renew(self, key: str) -> None:
        """Make everything under a generation a miss (X = 1, however much that is).

        Raises:
            Unavailable: Redis did not answer in time; `OutcomeUnknown` where it may be done.
        """
        fresh = new_id()
        self._remembered.pop(key, None)
        await self.client.execute("SET", key, fresh, "PX", LIFE_MS, idempotent=True)
        self._remember(key, fresh)

    def _remember(self, key: str, generation: str) -> None:
        self._remembered[key] = (generation, time.monotonic())
        if len(self._remembered) > _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def text_of(raw: bytes) -> str:
    """A generation as text, whatever somebody may have written there."""
    return raw.decode("latin-1")
