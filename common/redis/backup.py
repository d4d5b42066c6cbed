"""Logical backup and restore of keys (R24), for development and for moving to another database.

    keys ──SCAN, TYPE, typed reads──▶ JSON, ends as moments ──(a file)──▶ typed writes, only where nothing is

It is no snapshot: keys are read 100 at a time, and what changes meanwhile is told as it was or as it is; a value and
its end always belong together. DUMP would save a command, but another version of the server refuses its bytes.

Every command is billed: a key costs three to read, and one (a string) or four (a small collection) to write, and SCAN
looks at each key of the database whatever the pattern. Hence a budget, which is checked before anything is sent.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import clock, ids
from common.redis import keys as names
from common.redis.backup_commands import Reading, cost, writing
from common.redis.backup_entries import Entry, Item
from common.redis.client import redis_client, require
from common.redis.command_budget import CommandBudget, Progress
from common.redis.config import RedisConfig
from common.redis.errors import InvalidKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from common.redis.client import RedisClient
    from common.redis.pipeline import Step
    from common.redis.wire import Command

READ_TOGETHER = 100
WRITE_TOGETHER = 100
SCAN_COUNT = 1000
SECONDS = 10.0
"""To wait for an answer: a hundred keys may be large."""

_LOCKS = f"{RedisConfig.KEY_PREFIX}lock:"
_RESTORING = f"{RedisConfig.KEY_PREFIX}restoring:"
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        written: keys.
        existed: keys that were there, and are as they were.
        expired: keys whose end has passed since the backup; not written.
    """

    written: int
    existed: tuple[str, ...]
    expired: tuple[str, ...]


class RedisBackup:
    """Reads keys as data, and writes them again.

    Locks are left out, since what they say is over; their fencing counters are kept, since holders' numbers must only
    grow, even where everything else is replaced. A queue's leases are parts of its timers and are kept: without them
    jobs that run now would be lost; they run again when their lease ends. Of a stream its entries are kept, no groups.

    Args:
        client: of the server; None for the one that everybody shares.
        budget: commands that one call may take; 100,000 cost 0.20 dollars on Upstash's pay-as-you-go plan.
        progress: is called after each part.

    Example:
        >>> backup = RedisBackup(progress=print)
        >>> await backup.export_to_file("raptorflow:usage:*", "usage.jsonl")
        Progress(keys=12, commands=39)
        12
        >>> await backup.import_from_file("usage.jsonl")
        Progress(keys=12, commands=72)
        Restored(written=12, existed=(), expired=())
    """

    def __init__(
        self,
        client: RedisClient | None = None,
        *,
        budget: int = 100_000,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._client = client
        self._budget = budget
        self._progress = progress

    async def backup_keys(self, pattern: str) -> dict[str, Entry]:
        """The keys that match a glob, as JSON; see `common.redis.backup_entries`.

        Args:
            pattern: begins with ``raptorflow:``.

        Raises:
            InvalidKey: it does not, or a key is not text.
            InvalidValue: a key is of a type that cannot be backed up.
            CommandBudgetExceeded: it takes more commands than allowed.
            Unavailable: Redis did not answer in time.
        """
        found: dict[str, Entry] = {}
        async for items in self._read(pattern):
            found |= {item.key: item.to_entry() for item in items}
        return dict(sorted(found.items()))

    async def restore_keys(self, data: dict[str, Entry], *, replace: bool = False) -> Restored:
        """Write keys of `backup_keys`; what exists is left alone, unless it is to be replaced.

        All of ``data`` is checked before anything is written. Where it fails half way, it may be run again.

        Raises:
            InvalidInput: a key does not begin with ``raptorflow:``, is a lock, or is not as a backup writes it.
            CommandBudgetExceeded: it takes more commands than allowed; nothing was written.
            Unavailable: Redis did not answer in time, or is full.
        """
        items = [Item.from_entry(key, entry) for key, entry in data.items()]
        self._check(items)
        return await self._write(items, replace=replace)

    async def export_to_file(self, pattern: str, filepath: str | Path) -> int:
        """Write the keys that match to a file that only its owner can read; how many they are.

        The file appears when it is whole, and then replaces an older one.

        Raises:
            OSError: it cannot be written.
            Exception: see `backup_keys`.
        """
        from common.redis import backup_file  # noqa: PLC0415 - only where there are files

        with backup_file.writing(Path(filepath), pattern) as writer:
            async for items in self._read(pattern):
                await asyncio.to_thread(writer.write, items)
            return writer.count

    async def import_from_file(self, filepath: str | Path, *, replace: bool = False) -> Restored:
        """Write the keys of a file; it is read twice, so that nothing is written if any line is wrong.

        Raises:
            OSError: it cannot be read.
            Exception: see `restore_keys`.
        """
        from common.redis import backup_file  # noqa: PLC0415

        await asyncio.to_thread(self._check, backup_file.items_of(Path(filepath)))
        return await self._write(backup_file.items_of(Path(filepath)), replace=replace)

    async def _read(self, pattern: str) -> AsyncIterator[list[Item]]:
        if not pattern.startswith(RedisConfig.KEY_PREFIX):
            raise InvalidKey(f"a backup's pattern must begin with {RedisConfig.KEY_PREFIX}, as all of our keys do")
        spending = CommandBudget(self._budget, self._progress)
        seen: set[bytes] = set()
        cursor: bytes | int = 0
        while cursor != b"0":
            spending.plan(1)
            scan = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
            cursor, page = await self._redis().execute(*scan, idempotent=True, raw=True, seconds=SECONDS)
            new = [name for name in dict.fromkeys(page) if name not in seen]  # a scan may tell a key twice
            seen.update(new)
            kept = [key for key in map(_text, new) if not _is_lock(key)]
            types = await self._ask([("TYPE", key) for key in kept], spending)
            readings = [
                Reading(Item(key, kind.decode())) for key, kind in zip(kept, types, strict=True) if kind != b"none"
            ]
            if not readings:
                spending.done(0)  # a page of others' keys is progress too
            for first in range(0, len(readings), READ_TOGETHER):
                items = await self._values(readings[first : first + READ_TOGETHER], spending)
                spending.done(len(items))
                yield items

    async def _values(self, readings: Sequence[Reading], spending: CommandBudget) -> list[Item]:
        """Read some keys; those that end meanwhile, and streams without entries, are not among the answers."""
        steps: list[Command] = []
        for reading in readings:
            steps += [reading.command(), ("PTTL", reading.item.key)]
        spending.plan(2)  # MULTI and EXEC
        now = clock.now()
        replies = await self._ask(steps, spending, transaction=True)
        found = []
        for reading, value, left in zip(readings, replies[::2], replies[1::2], strict=True):
            reading.take(value)
            while reading.more:
                reading.take(*await self._ask([reading.command()], spending))
            if reading.item.elements:
                reading.item.expires_at = None if left < 0 else now + timedelta(milliseconds=left)
                found.append(reading.item)
        return found

    async def _ask(self, steps: Sequence[Command], spending: CommandBudget, *, transaction: bool = False) -> list[Any]:
        spending.plan(len(steps))
        replies = await self._redis().pipeline(
            steps, transaction=transaction, idempotent=True, raw=True, seconds=SECONDS
        )
        return require(replies)

    def _check(self, items: Iterable[Item]) -> None:
        spending = CommandBudget(self._budget, None)
        for item in items:
            if not item.key.startswith(RedisConfig.KEY_PREFIX):
                raise InvalidKey(f"{item.key} does not begin with {RedisConfig.KEY_PREFIX}: it is none of our keys")
            if _is_lock(item.key):
                raise InvalidKey(f"{item.key} is a lock, which is never restored: leave it out")
            spending.plan(cost(item))

    async def _write(self, items: Iterable[Item], *, replace: bool) -> Restored:
        spending = CommandBudget(self._budget, self._progress)
        existed: list[str] = []
        expired: list[str] = []
        coming = iter(items)
        while batch := await asyncio.to_thread(lambda: list(islice(coming, WRITE_TOGETHER))):
            now = clock.now()
            steps: list[Step] = []
            ends: dict[str, int] = {}  # which step tells of a key
            for item in batch:
                milliseconds = None if item.expires_at is None else math.ceil((item.expires_at - now) / _MILLISECOND)
                if milliseconds is not None and milliseconds <= 0:
                    expired.append(item.key)
                    continue
                steps += writing(
                    item,
                    names.restoring(ids.new_id()),
                    milliseconds=milliseconds,
                    replace=replace and not _is_fence(item.key),
                )
                ends[item.key] = len(steps) - 1
                spending.plan(cost(item))
            replies = require(await self._redis().pipeline(steps, seconds=SECONDS))
            existed += [key for key, end in ends.items() if not replies[end]]
            spending.done(len(batch))
        return Restored(spending.keys - len(existed) - len(expired), tuple(existed), tuple(expired))

    def _redis(self) -> RedisClient:
        return self._client or redis_client()


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise InvalidKey(f"{name!r} is not text, so it is none of our keys: choose a pattern without it") from None


def _is_fence(key: str) -> bool:
    return key.startswith(_LOCKS) and key.endswith("}:f")


def _is_lock(key: str) -> bool:
    """Whether a key says that somebody works on something now: a lock, or what a restore puts together."""
    return key.startswith(_RESTORING) or (key.startswith(_LOCKS) and not _is_fence(key))
