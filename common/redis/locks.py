"""Locks (R17): one holder at a time, for a lease that ends by itself when the holder dies.

    async with DistributedLock().hold(f"index/{workspace_id}") as lease:
        await rebuild(workspace_id, fence=lease.fence)

The lease is renewed at each third of it while `DistributedLock.hold` lasts; where that fails until it ends, the work
inside is cancelled. No lock can stop a holder that is frozen between its last look and its write, and a database that
fails over may forget one: what must never happen twice checks `Lease.fence` where it is written, and refuses a lower
number than it has seen.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

from common import ids
from common.backoff import pauses
from common.errors import InvalidInput, RaptorFlowError
from common.functions.deadline import remaining
from common.redis import keys
from common.redis.errors import LockHeld, LockLost, LockTimeout
from common.redis.leases import Lease, give_back, keep, renew, take, warn
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_RETRY_SECONDS = 1.0
"""Between two tries of a lock that is taken."""


class DistributedLock:
    """One holder of locks; make one for each piece of work that must not meet another.

    Example:
        >>> lock = DistributedLock()
        >>> if await lock.acquire("report/2026-11", timeout=0, ttl=60):
        ...     await write_report()
        ...     await lock.release("report/2026-11")
    """

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._waiting: set[str] = set()

    def lease(self, resource: str) -> Lease | None:
        """What this holder has of ``resource``; None if it does not hold it (any more)."""
        lease = self._leases.get(resource)
        return lease if lease is not None and lease.held else None

    async def acquire(
        self,
        resource: str,
        timeout: float = 30,  # noqa: ASYNC109 - R17's name
        retry_delay: float = 0.1,
        *,
        ttl: float = 30,
        fenced: bool = True,
    ) -> bool:
        """Lock ``resource`` for ``ttl`` seconds, which nobody renews but `extend` (X = 3; 1 without a fence).

        Args:
            resource: any name.
            timeout: seconds to wait for it at most, cut to what is left of the invocation; 0 tries once.
            retry_delay: seconds up to the second try, at random; doubled each time, up to a second.
            ttl: seconds that the lock lives if its holder dies.
            fenced: number the holders, in `Lease.fence`.

        Returns:
            Whether it is locked now; False when the time passed.

        Raises:
            LockHeld: this holder has it, or waits for it already.
            InvalidInput: a number makes no sense.
            Unavailable: Redis cannot say; whatever it did of it is undone, or ends with the lease.
        """
        keys.lock(resource)
        milliseconds(ttl, "a lock's ttl")
        if not (0 <= timeout < math.inf and 0 < retry_delay < math.inf):
            raise InvalidInput("a lock's timeout must be 0 seconds or more, its retry_delay more than 0, both finite")
        if resource in self._waiting or self.lease(resource) is not None:
            raise LockHeld(f"this holder has {resource!r}, or waits for it: extend it, or make another holder")
        until = monotonic() + remaining(timeout)
        lease = Lease(resource, ids.new_id(), ttl)
        self._waiting.add(resource)
        try:
            for pause in pauses(retry_delay, max(retry_delay, MAX_RETRY_SECONDS)):
                if await take(lease, fenced=fenced):
                    self._leases[resource] = lease
                    return True
                if monotonic() >= until:
                    break
                await asyncio.sleep(min(pause, until - monotonic()))
        finally:
            self._waiting.discard(resource)
        return False

    async def release(self, resource: str) -> bool:
        """Unlock ``resource``; whether this holder still had it (X = 1, or 3 by script).

        Raises:
            Unavailable: Redis cannot say; the lock ends with its lease.
        """
        lease = self._leases.pop(resource, None)
        return lease is not None and await give_back(lease)

    async def extend(self, resource: str, seconds: float) -> bool:
        """Let the lock live ``seconds`` from now; False if this holder does not have it any more (X = 1, or 3).

        Raises:
            InvalidTTL: ``seconds`` is not positive.
            Unavailable: Redis cannot say; `Lease.held` then holds for the shorter of the two times.
        """
        milliseconds(seconds, "a lock's extension")
        lease = self.lease(resource)
        if lease is None:
            return False
        lease.ttl = seconds
        extended = await renew(lease)
        if not extended:
            lease.lost.set()
        return extended

    @asynccontextmanager
    async def hold(
        self,
        resource: str,
        timeout: float = 30,  # noqa: ASYNC109 - R17's name
        retry_delay: float = 0.1,
        *,
        ttl: float = 30,
        fenced: bool = True,
    ) -> AsyncIterator[Lease]:
        """Hold the lock while the context lasts: renewed, and released at its end. Arguments as in `acquire`.

        Raises:
            LockTimeout: the lock stayed taken.
            LockLost: the lease ended meanwhile; what ran inside was cancelled as soon as that was known.
            Exception: see `acquire`.
        """
        if not await self.acquire(resource, timeout, retry_delay, ttl=ttl, fenced=fenced):
            raise LockTimeout(f"{resource!r} is locked by somebody else: try again later")
        lease, guard = self._leases[resource], asyncio.timeout(None)
        try:
            async with guard:
                renewing = asyncio.create_task(keep(lease, guard), name=f"renews the lock of {resource}")
                try:
                    yield lease
                finally:
                    renewing.cancel()
                    await asyncio.wait([renewing])
        except TimeoutError as error:
            if guard.expired():
                raise LockLost(f"the lock of {resource!r} was lost: what it guarded was cancelled") from error
            raise
        finally:
            kept = lease.held and await self._released(lease)
        if not kept:
            raise LockLost(f"the lock of {resource!r} had ended before what it guarded did")

    async def _released(self, lease: Lease) -> bool:
        """Whether the lock was ours to the end; what Redis cannot say, our own clock has said."""
        try:
            return await self.release(lease.resource)
        except RaptorFlowError as error:
            warn("a lock was not released; it ends with its lease", lease, error)
            return True
