"""The messages of one subscription: who waits, who is out with a subscriber, and until when. No I/O.

The life of a message, in seconds of the monotonic clock::

    add ──> due ──take──> leased ──ack──────────────────> gone (kept for seek if the subscription retains)
             ^               │
             └──(backoff)────┴── nack, or the lease ran out ──(attempts used up)──> buried: the dead-letter topic

Of an ordering key only the oldest message is ever scheduled; the next one follows when that one is gone. So one message
of a key is outstanding at a time, redelivery keeps the order, and it does not matter who pulls.
"""

from __future__ import annotations

import asyncio
import heapq
import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from common.clock import now
from common.ids import new_id
from tools.local.pubsub.errors import invalid_ack_ids
from tools.local.pubsub.messages import Delivery
from tools.local.rpc import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from tools.local.pubsub.messages import Message, Policy

_ACK_ID = re.compile(r"([0-9a-f]{32})\.([0-9]{1,18})\.([0-9]{1,18})")


@dataclass(slots=True)
class _Entry:
    message: Message
    sequence: int
    due: float = 0.0
    """When it may be taken; while it is leased, when the lease ends."""
    attempt: int = 0
    leased: bool = False


@dataclass(slots=True)
class Backlog:
    """See the module.

    Attributes:
        policy: how to deliver; may be replaced at any time.
        bury: sends a message with its number of attempts to the dead-letter topic; False if there is no such topic.
        closed: the subscription is deleted; nothing comes any more.
    """

    policy: Policy
    bury: Callable[[Message, int], bool]
    closed: bool = False
    _entries: dict[int, _Entry] = field(default_factory=dict)
    _schedule: list[tuple[float, int]] = field(default_factory=list)
    """A heap of (due, sequence); an item whose entry is gone, or due at another time, is void."""
    _lines: dict[str, deque[_Entry]] = field(default_factory=dict)
    """Ordering key to its messages, the oldest first."""
    _retained: deque[tuple[int, Message]] = field(default_factory=deque)
    _sequence: count[int] = field(default_factory=lambda: count(1))
    _token: str = field(default_factory=lambda: new_id().replace("-", ""))
    """Makes ack ids unlike those of every other subscription, an earlier one of the same name included."""
    _change: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def size(self) -> int:
        """How many messages are not acknowledged."""
        return len(self._entries)

    @property
    def outstanding(self) -> int:
        """How many of them are with a subscriber, counting leases that ran out until somebody asks for messages."""
        return sum(entry.leased for entry in self._entries.values())

    def add(self, message: Message) -> None:
        """Take in a published message."""
        entry = _Entry(message, next(self._sequence))
        self._entries[entry.sequence] = entry
        if self._has_line(entry):
            line = self._lines.setdefault(message.ordering_key, deque())
            line.append(entry)
            if line[0] is not entry:
                return
        self._set_due(entry, time.monotonic())
        self.wake()

    def take(self, limit: int, lease: float | None = None) -> list[Delivery]:
        """Up to ``limit`` messages that are due, leased for ``lease`` seconds (else the policy's)."""
        moment = time.monotonic()
        taken: list[Delivery] = []
        while len(taken) < limit and self._schedule and self._schedule[0][0] <= moment:
            due, sequence = heapq.heappop(self._schedule)
            entry = self._entries.get(sequence)
            if entry is None or entry.due != due:
                continue
            if entry.leased:
                self._fail(entry)
                continue
            entry.attempt += 1
            entry.leased = True
            self._set_due(entry, moment + (self.policy.ack_deadline if lease is None else lease))
            taken.append(Delivery(f"{self._token}.{sequence}.{entry.attempt}", entry.message, entry.attempt))
        return taken

    async def take_soon(self, limit: int, *, lease: float | None = None, until: float | None = None) -> list[Delivery]:
        """`take`, as soon as there is something; nothing once the monotonic clock shows ``until`` or it is closed."""
        while not self.closed:
            taken = self.take(limit, lease)
            if taken or (until is not None and time.monotonic() >= until):
                return taken
            await self.changed(min((*([until] if until is not None else []), *self.next_due()), default=None))
        return []

    def next_due(self) -> list[float]:
        """When to look again, on the monotonic clock: one moment, or none if nothing is scheduled."""
        return [self._schedule[0][0]] if self._schedule else []

    async def changed(self, until: float | None = None) -> None:
        """Return at the next change, at the latest when the monotonic clock shows ``until``."""
        change = self._change
        with suppress(TimeoutError):
            async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
                await change.wait()

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        self._change.set()
        self._change = asyncio.Event()

    def ack(self, ack_ids: Collection[str]) -> None:
        """These are done. A lease that ran out still counts, unless delivery is exactly once.

        Raises:
            ServiceError: an id is not this subscription's (nothing was done then); with exactly-once delivery, a lease
                ran out (the others are done).
        """
        entries = self._entries_of(ack_ids)
        void = self._void(ack_ids)
        for ack_id, entry in entries.items():
            if entry is not None and ack_id not in void and entry.sequence in self._entries:
                self._remove(entry)
                self._retain(entry)
        self._answer(void)

    def modify_deadline(self, ack_ids: Collection[str], seconds: float) -> None:
        """Leases end ``seconds`` from now; with 0 the message failed and waits for its backoff.

        Raises:
            ServiceError: as `ack`.
        """
        entries = self._entries_of(ack_ids)
        void = self._void(ack_ids)
        for ack_id, entry in entries.items():
            if entry is None or not self.holds(ack_id):
                continue
            if seconds > 0:
                self._set_due(entry, time.monotonic() + seconds)
            else:
                self._fail(entry)
        self._answer(void)

    def holds(self, ack_id: str) -> bool:
        """Whether this very delivery is still with its subscriber, and in time."""
        sequence, attempt = self._parse(ack_id)
        entry = self._entries.get(sequence)
        return entry is not None and entry.leased and entry.attempt == attempt and entry.due > time.monotonic()

    def seek(self, instant: datetime) -> None:
        """What was published before ``instant`` is done; the rest, acknowledged (if retained) or not, comes anew."""
        waiting = [(entry.sequence, entry.message) for entry in self._entries.values()]
        known = sorted([*self._retained, *waiting], key=lambda pair: pair[0])
        self._entries.clear()
        self._schedule.clear()
        self._lines.clear()
        self._retained.clear()
        for sequence, message in known:
            if message.publish_time >= instant:
                self.add(message)
            elif self.policy.retention is not None:
                self._retained.append((sequence, message))
        self.wake()

    def close(self) -> None:
        """The subscription is deleted: everybody who waits gets nothing, now."""
        self.closed = True
        self.wake()

    def _has_line(self, entry: _Entry) -> bool:
        return self.policy.ordered and bool(entry.message.ordering_key)

    def _set_due(self, entry: _Entry, due: float) -> None:
        entry.due = due
        heapq.heappush(self._schedule, (due, entry.sequence))

    def _fail(self, entry: _Entry) -> None:
        entry.leased = False
        attempts = self.policy.max_attempts
        if attempts is not None and entry.attempt >= attempts and self.bury(entry.message, entry.attempt):
            self._remove(entry)
        else:
            self._set_due(entry, time.monotonic() + self.policy.backoff(entry.attempt))

    def _remove(self, entry: _Entry) -> None:
        del self._entries[entry.sequence]
        if not self._has_line(entry):
            return
        line = self._lines[entry.message.ordering_key]
        line.popleft()
        if line:
            self._set_due(line[0], time.monotonic())
        else:
            del self._lines[entry.message.ordering_key]

    def _retain(self, entry: _Entry) -> None:
        if self.policy.retention is None:
            return
        self._retained.append((entry.sequence, entry.message))
        oldest = now() - self.policy.retention
        while self._retained and self._retained[0][1].publish_time < oldest:
            self._retained.popleft()

    def _entries_of(self, ack_ids: Iterable[str]) -> dict[str, _Entry | None]:
        return {ack_id: self._entries.get(self._parse(ack_id)[0]) for ack_id in ack_ids}

    def _void(self, ack_ids: Iterable[str]) -> list[str]:
        return [ack_id for ack_id in ack_ids if not self.holds(ack_id)] if self.policy.exactly_once else []

    def _answer(self, void: list[str]) -> None:
        self.wake()
        if void:
            raise invalid_ack_ids(void)

    def _parse(self, ack_id: str) -> tuple[int, int]:
        parts = _ACK_ID.fullmatch(ack_id)
        if parts is None:
            raise invalid(f"You have passed an invalid ack ID to the service (ack_id={ack_id}).")
        if parts[1] != self._token:
            raise invalid("You have passed a subscription that does not belong to the given ack ID.")
        return int(parts[2]), int(parts[3])
