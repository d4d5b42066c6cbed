r"""How a cached value lies in Redis: a line that says what it is, then its JSON, deflated where that helps.

    1 json <delta> <stale_at> <lease> {"":"<generation>","<tag>":"<generation>"}\n{"the":"value"}

The generations are those that were current before the value was made: its workspace's, under the empty name, and its
tags'. It is valid as long as all of them still are. Whoever makes a value holds a lease, and the lease lies where the
value will: alone, or around the value that is to be replaced. So whatever happens to the place meanwhile, a `delete`
or a `set`, takes the lease away, and what was made of older data is not stored (the leases of Facebook's memcache,
Nishtala et al., NSDI 2013).

Nothing but JSON is read, so a value in Redis can run no code; inflating is bounded.
"""

from __future__ import annotations

import functools
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from common import clock
from common.errors import RaptorFlowError
from common.redis.values import MAX_VALUE_BYTES, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = "1"
_DEFLATE_ABOVE_BYTES = 1024
_FASTEST = 1
"""Of zlib's levels: the event loop stands still meanwhile, for 10 ms a megabyte; the next levels save little."""

Kind = Literal["json", "zlib", "none"]
"""What follows the line: JSON, deflated JSON, or nothing yet."""

_KINDS: dict[str, Kind] = {"json": "json", "zlib": "zlib", "none": "none"}


class CorruptEntry(RaptorFlowError):  # noqa: N818 - what happened to it
    """What lies there is not what we wrote: a miss."""


@dataclass(frozen=True, slots=True)
class Body:
    """A value's JSON, on its own.

    Attributes:
        kind: whether it is deflated.
        data: the bytes.
    """

    kind: Kind
    data: bytes

    @classmethod
    def of(cls, value: Any) -> Body:
        """``value`` as it is stored.

        Raises:
            InvalidValue: it is not JSON, or has more than a megabyte.
        """
        data = to_json(value, "a cached value").encode()
        if len(data) > _DEFLATE_ABOVE_BYTES:
            deflated = zlib.compress(data, _FASTEST)
            if len(deflated) < len(data):
                return cls("zlib", deflated)
        return cls("json", data)

    def value(self) -> Any:
        """The value, a new one each time: nobody sees what another caller does to his.

        Raises:
            CorruptEntry: it is none.
        """
        try:
            return json.loads(self._inflated() if self.kind == "zlib" else self.data)
        except (ValueError, RecursionError, zlib.error) as error:
            raise CorruptEntry(f"its value cannot be read ({type(error).__name__})") from None

    def _inflated(self) -> bytes:
        inflating = zlib.decompressobj()
        data = inflating.decompress(self.data, MAX_VALUE_BYTES)
        if not inflating.eof:
            raise ValueError("longer than any value, or cut off")
        return data


NOTHING = Body("none", b"")


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at a place.

    Attributes:
        generations: that it was made under, by tag; the workspace's under the empty name.
        body: the value; `NOTHING` while the first one is being made.
        delta: seconds that it took to make.
        stale_at: seconds since 1970 at which it ends.
        lease: of who is making the next value; empty for nobody.
    """

    generations: Mapping[str, str]
    body: Body = NOTHING
    delta: float = 0.0
    stale_at: float = 0.0
    lease: str = ""

    def serves(self) -> bool:
        """Whether there is a value that may be given out.

        Redis ends a value in time. One with a lease around it stays a little longer, for the lease's sake.
        """
        return self.body.kind != "none" and (not self.lease or clock.now().timestamp() < self.stale_at)

    def encode(self) -> bytes:
        """What is stored."""
        generations = json.dumps(self.generations, separators=(",", ":"))
        line = f"{_VERSION} {self.body.kind} {self.delta!r} {self.stale_at!r} {self.lease} {generations}\n"
        return line.encode() + self.body.data

    @classmethod
    def decode(cls, raw: bytes) -> Entry:
        """What was stored; its value is looked at by `Body.value` only.

        Raises:
            CorruptEntry: it is nothing that `encode` writes.
        """
        line, _, data = raw.partition(b"\n")
        try:
            version, kind, delta, stale_at, lease, generations = line.decode().split(" ", 5)
            if version == _VERSION and kind in _KINDS:
                body = Body(_KINDS[kind], data)
                return cls(_generations(generations), body, float(delta), float(stale_at), lease)
        except ValueError as error:
            raise CorruptEntry(f"it was not written by the cache ({type(error).__name__})") from None
        raise CorruptEntry("it was not written by this version of the cache")


@functools.lru_cache(maxsize=256)
def _generations(line: str) -> Mapping[str, str]:
    """The same for most of a workspace's values, so seldom parsed."""
    try:
        generations = json.loads(line)
    except RecursionError:
        raise ValueError("nested") from None
    if not (type(generations) is dict and "" in generations and all(type(of) is str for of in generations.values())):
        raise ValueError("not texts by tag")
    return generations
