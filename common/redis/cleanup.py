"""Cleaning up what a time to live cannot (R25), a bounded piece at a time.

Whatever our services write ends by itself. What is left to do: entries of session indexes whose session has ended, and
keys that somebody wrote without an end, which get one and are never deleted: a lock may be alive.

The server is asked for keys of one kind, a page at a time; each page costs a command, and each look at a key does. So
every call has a budget of commands, never spends more, and answers where to go on:

    result = await RedisCleanup().cleanup_stale_locks(budget=200)
    ...                                     # an hour later
    result = await RedisCleanup().cleanup_stale_locks(budget=200, cursor=result.cursor)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from common.redis.client import redis_client, require
from common.redis.command_budget import CommandBudget
from common.redis.config import RedisConfig
from common.redis.errors import InvalidValue
from common.redis.leases import FENCE_TTL_SECONDS
from common.redis.session import SessionService
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from common.redis.wire import Command

_CURSOR = re.compile(r"(\d{1,20})(?:\|(.+))?", re.DOTALL)
_PAGE = 1000
_AT_ONCE = 100
"""Keys looked at in one round trip."""

_INDEX_COST = SessionService.MAX_SESSIONS + 3
"""Commands that one session index takes at most: read it, ask for all, ask for each, take out."""

MIN_BUDGET = 1 + _INDEX_COST
"""With less, a call might end before it did anything."""


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What a call did, or in a dry run would have done.

    Attributes:
        scanned: keys that were looked at.
        removed: entries of session indexes that were taken out.
        mended: keys without an end that got one.
        commands: that were spent.
        cursor: for the next call, which goes on from here; None when it is through.
    """

    scanned: int
    removed: int
    mended: int
    commands: int
    cursor: str | None

    def __add__(self, later: CleanupResult) -> CleanupResult:
        """Both together; the later one says where to go on."""
        return CleanupResult(
            self.scanned + later.scanned,
            self.removed + later.removed,
            self.mended + later.mended,
            self.commands + later.commands,
            later.cursor,
        )


class RedisCleanup:
    """Clean-up by kind of key; `TTLManager.cleanup_expired` does all kinds, one after the other.

    Attributes:
        BUDGET: commands of a call that says nothing else.
        CACHE_SECONDS: that a cached value without an end is given.
        LOCK_SECONDS: that a lock without an end is given: longer than any invocation.
    """

    BUDGET: ClassVar[int] = 1000
    CACHE_SECONDS: ClassVar[int] = 86_400
    LOCK_SECONDS: ClassVar[int] = 3600

    async def cleanup_expired_sessions(
        self, *, dry_run: bool = False, budget: int = BUDGET, cursor: str | None = None
    ) -> CleanupResult:
        """Take sessions that have ended out of their users' indexes (X = 1 a page, 2 an index; more where some have).

        Args:
            dry_run: count, and change nothing.
            budget: commands that may be spent, `MIN_BUDGET` at least.
            cursor: of the call before; None for the beginning.

        Raises:
            InvalidValue: the budget is too small, or the cursor is none.
            Unavailable: Redis did not answer; the cursor of the call before stays good.
        """
        sweep = _Sweep("session:u:*", _INDEX_COST, budget, dry_run=dry_run, kind=("TYPE", "zset"))
        return await sweep.run(cursor, sweep.take_out_ended)

    async def cleanup_old_cache(
        self, *, dry_run: bool = False, budget: int = BUDGET, cursor: str | None = None
    ) -> CleanupResult:
        """Give an end to cached values and generations that have none (X = 1 a page, 1 a key).

        Values of a former generation are not looked for: each would have to be read, and they end by themselves.

        Args:
            dry_run: count, and change nothing.
            budget: commands that may be spent, `MIN_BUDGET` at least.
            cursor: of the call before; None for the beginning.

        Raises:
            InvalidValue: the budget is too small, or the cursor is none.
            Unavailable: Redis did not answer; the cursor of the call before stays good.
        """
        sweep = _Sweep("cache*:*", 1, budget, dry_run=dry_run)
        return await sweep.run(cursor, lambda names: sweep.mend(dict.fromkeys(names, self.CACHE_SECONDS)))

    async def cleanup_stale_locks(
        self, *, dry_run: bool = False, budget: int = BUDGET, cursor: str | None = None
    ) -> CleanupResult:
        """Give an end to locks and their counters that have none (X = 1 a page, 1 a key). None is ever deleted.

        A lock that is renewed meanwhile has its end from its holder, and keeps it.

        Args:
            dry_run: count, and change nothing.
            budget: commands that may be spent, `MIN_BUDGET` at least.
            cursor: of the call before; None for the beginning.

        Raises:
            InvalidValue: the budget is too small, or the cursor is none.
            Unavailable: Redis did not answer; the cursor of the call before stays good.
        """
        sweep = _Sweep("lock:*", 1, budget, dry_run=dry_run)
        return await sweep.run(cursor, lambda names: sweep.mend({name: self._lock_seconds(name) for name in names}))

    def _lock_seconds(self, name: str) -> int:
        return FENCE_TTL_SECONDS if name.endswith("}:f") else self.LOCK_SECONDS


def checked_budget(budget: Any) -> int:
    """``budget``, if something can be done with it.

    Raises:
        InvalidValue: it is too small, or no whole number.
    """
    if type(budget) is not int or budget < MIN_BUDGET:
        raise InvalidValue(f"a budget must be a whole number of commands, {MIN_BUDGET} at least")
    return budget


class _Sweep:
    """One call: the keys of one pattern, as far as the budget reaches when each may cost so much."""

    def __init__(self, pattern: str, cost: int, budget: int, *, dry_run: bool, kind: tuple[str, ...] = ()) -> None:
        self._which: Command = ("MATCH", RedisConfig.KEY_PREFIX + pattern, "COUNT", _PAGE, *kind)
        self._cost = cost
        self._dry_run = dry_run
        self._spent = CommandBudget(checked_budget(budget))
        self._removed = self._mended = 0

    async def run(self, cursor: str | None, work: Callable[[Sequence[str]], Awaitable[None]]) -> CleanupResult:
        """Do ``work`` on all keys from ``cursor`` on.

        A page that was left in its middle is asked for again: its names come in order, those that are done are passed.
        """
        match = _CURSOR.fullmatch("0" if cursor is None else str(cursor))
        if match is None:
            raise InvalidValue("a cursor must be the one of the call before, or None to begin")
        page, done = match[1], match[2] or ""
        while self._left():
            following, names = await self._page(page, done)
            while names:
                part = names[: min(_AT_ONCE, self._left() // self._cost)]
                if not part:
                    return self._result(f"{page}|{done}" if done else page)
                await work(part)
                self._spent.done(len(part))
                done, names = part[-1], names[len(part) :]
            page, done = following, ""
            if page == "0":
                return self._result(None)
        return self._result(page)

    async def _page(self, page: str, done: str) -> tuple[str, list[str]]:
        """The next page's number, and this one's names after ``done``. Names of ours are ASCII, others stay alone."""
        self._spent.plan(1)
        following, names = await redis_client().execute("SCAN", page, *self._which, idempotent=True, raw=True)
        return following.decode(), sorted(name.decode() for name in names if name.isascii() and name > done.encode())

    async def take_out_ended(self, indexes: Sequence[str]) -> None:
        """Take out of indexes the sessions that are gone: their keys are made of chance, so none comes back."""
        reads = [("ZRANGE", index, 0, SessionService.MAX_SESSIONS - 1) for index in indexes]
        entries = {index: names for index, names in zip(indexes, await self._all(reads), strict=True) if names}
        counts = await self._all([("EXISTS", *names) for names in entries.values()])
        doubtful = [entry for entry, count in zip(entries.items(), counts, strict=True) if count < len(entry[1])]
        exists = iter(await self._all([("EXISTS", name) for _, names in doubtful for name in names]))
        ended = {index: [name for name in names if not next(exists)] for index, names in doubtful}
        self._removed += sum(map(len, ended.values()))
        if not self._dry_run:
            await self._all([("ZREM", index, *names) for index, names in ended.items() if names])

    async def mend(self, ends: dict[str, int]) -> None:
        """Give keys that have none an end, in seconds; in one step, so that one which is given meanwhile stays."""
        if self._dry_run:
            self._mended += (await self._all([("PTTL", name) for name in ends])).count(-1)
        else:
            steps = [("PEXPIRE", name, milliseconds(end), "NX") for name, end in ends.items()]
            self._mended += sum(await self._all(steps))

    def _left(self) -> int:
        return self._spent.budget - self._spent.commands

    def _result(self, cursor: str | None) -> CleanupResult:
        spent = self._spent
        return CleanupResult(spent.keys, self._removed, self._mended, spent.commands, cursor)

    async def _all(self, commands: Sequence[Command]) -> list[Any]:
        self._spent.plan(len(commands))
        return require(await redis_client().pipeline(commands, idempotent=True))
