"""How the types of Redis are read and written: whole where they are small, in pages of about 1,000 where not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.redis.backup_entries import unique
from common.redis.errors import InvalidValue
from common.redis.lua.backup import RESTORE_PART
from common.redis.scripts import ScriptCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.redis.backup_entries import Item
    from common.redis.pipeline import Step
    from common.redis.wire import Command

PAGE = 1000
STAGING_SECONDS = 600
"""That the parts of a large collection may lie about if the restore dies."""


@dataclass(frozen=True, slots=True)
class _Collection:
    scan: str
    write: str
    size: str


_COLLECTIONS = {
    "hash": _Collection("HSCAN", "HSET", "HLEN"),
    "list": _Collection("LRANGE", "RPUSH", "LLEN"),
    "set": _Collection("SSCAN", "SADD", "SCARD"),
    "zset": _Collection("ZSCAN", "ZADD", "ZCARD"),
    "stream": _Collection("XRANGE", "XADD", "XLEN"),
}


class Reading:
    """One key while it is read.

    Args:
        item: its name and type; the elements are filled in.

    Raises:
        InvalidValue: it is of a type that no service of ours writes.
    """

    def __init__(self, item: Item) -> None:
        if item.type != "string" and item.type not in _COLLECTIONS:
            raise InvalidValue(f"{item.key} is of type {item.type}, which is not backed up: leave it out")
        self.item = item
        self.more = True
        self._cursor: bytes | int = 0

    def command(self) -> Command:
        """What reads the next page."""
        key, elements = self.item.key, self.item.elements
        if self.item.type == "string":
            return ("GET", key)
        if self.item.type == "list":
            return ("LRANGE", key, len(elements), len(elements) + PAGE - 1)
        if self.item.type == "stream":
            return ("XRANGE", key, b"(" + elements[-1][0] if elements else "-", "+", "COUNT", PAGE)
        return (_COLLECTIONS[self.item.type].scan, key, self._cursor, "COUNT", PAGE)

    def take(self, reply: Any) -> None:
        """Add what `command` was answered."""
        if self.item.type == "string":
            self.item.elements = [] if reply is None else [reply]
            self.more = False
        elif self.item.type in {"list", "stream"}:
            self.item.elements += reply
            self.more = len(reply) == PAGE
        else:
            self._cursor, found = reply
            pairs = self.item.type != "set"
            self.item.elements += [list(pair) for pair in zip(found[::2], found[1::2], strict=True)] if pairs else found
            self.more = self._cursor != b"0"
            if not self.more:  # a scan may tell an element twice
                self.item.elements = unique(self.item.elements)


def writing(item: Item, staging: str, *, milliseconds: int | None, replace: bool) -> list[Step]:
    """What writes one key; the last step answers OK or 1, or None or 0 if the key exists and is not to be replaced.

    Args:
        item: the key.
        staging: a key of its own, where a collection is put together.
        milliseconds: to live; None for ever.
        replace: what exists is replaced.
    """
    if item.type == "string":
        life = () if milliseconds is None else ("PX", milliseconds)
        return [("SET", item.key, item.elements[0], *life, *(() if replace else ("NX",)))]
    collection = _COLLECTIONS[item.type]
    found = list(_parts(item))
    steps: list[Step] = []
    for number, (before, words) in enumerate(found, start=1):
        last = number == len(found)
        life_of_part = STAGING_SECONDS * 1000 if not last else "" if milliseconds is None else milliseconds
        flags = ("1" if last else "", life_of_part, "1" if replace else "")
        arguments = [collection.write, collection.size, before, *flags, *words]
        steps.append(ScriptCall(RESTORE_PART, [staging, item.key], arguments))
    return steps


def cost(item: Item) -> int:
    """The commands that `writing` makes the server execute, at most: what it bills."""
    if item.type == "string":
        return 1
    count = sum(1 for _ in _parts(item))
    return 4 * count + 2 + (len(item.elements) - count if item.type == "stream" else 0)


def _parts(item: Item) -> Iterator[tuple[int, list[bytes | int]]]:
    """The elements in parts of about `PAGE` words, with how many elements came before."""
    words: list[bytes | int] = []
    before = 0
    for number, element in enumerate(item.elements, start=1):
        words += _words(item.type, element)
        if len(words) >= PAGE:
            yield before, words
            words, before = [], number
    if words:
        yield before, words


def _words(kind: str, element: Any) -> list[bytes | int]:
    if isinstance(element, bytes):
        return [element]
    first, second = element
    if kind == "zset":
        return [second, first]
    return [first, len(second), *second] if kind == "stream" else [first, second]
