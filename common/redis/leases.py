"""A lock's lease: taken, renewed and given back in one round trip each; see `common.redis.locks`.

::

    holder A   |-- lease --------------------| ends by A's own clock, from before it was asked for
    server        |-- lease --------------------| ends: the lock is free
    A frozen          ^...................................^ wakes: `Lease.held` is False, whatever A still believes
    holder B                                      |-- lease, a higher fence --
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from time import monotonic

from common import clock
from common.errors import RaptorFlowError
from common.redis import keys
from common.redis.client import redis_client
from common.redis.compare import delete_if_equal, set_if_equal
from common.redis.errors import OutcomeUnknown
from common.redis.lua.locks import ACQUIRE_FENCED
from common.redis.values import milliseconds

log = logging.getLogger(__name__)

FENCE_TTL_SECONDS = 86_400
"""That a fencing number is kept after its last holder. Then the time is the next one: higher, unless a clock is wrong
by more than this."""


@dataclass(slots=True, eq=False)
class Lease:
    """A lock that is held, for as long as `held` says so.

    Attributes:
        resource: that is locked.
        token: this holder's, for this time.
        ttl: seconds from each renewal to the end.
        fence: higher than that of every earlier holder; 0 without one.
        ends: by this process's monotonic clock.
        lost: set when it is known to have ended before it was released.
    """

    resource: str
    token: str
    ttl: float
    fence: int = 0
    ends: float = 0.0
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def key(self) -> str:
        """Of the lock."""
        return keys.lock(self.resource)

    @property
    def left(self) -> float:
        """Seconds until it ends if nobody renews it; 0 when it has ended."""
        return 0.0 if self.lost.is_set() else max(0.0, self.ends - monotonic())

    @property
    def held(self) -> bool:
        """Whether it certainly has not ended, also after this process was frozen: look right before what counts."""
        return self.left > 0


async def take(lease: Lease, *, fenced: bool) -> bool:
    """Try to lock, and find out where the answer was lost; what the caller will never know of is given back."""
    try:
        try:
            return await _try(lease, fenced=fenced)
        except OutcomeUnknown:
            return await _is_ours(lease, fenced=fenced)
    except (OutcomeUnknown, asyncio.CancelledError):
        try:
            await give_back(lease)
        except RaptorFlowError as error:
            warn("a lock may stay taken until its lease ends", lease, error)
        raise


async def _try(lease: Lease, *, fenced: bool) -> bool:
    began, life = monotonic(), milliseconds(lease.ttl)
    if fenced:
        now = int(clock.now().timestamp() * 1_000_000)
        both = [lease.key, keys.lock_fence(lease.resource)]
        fence = await redis_client().run(ACQUIRE_FENCED, both, [lease.token, life, now, FENCE_TTL_SECONDS * 1000])
        lease.fence, taken = int(fence or 0), fence is not None
    else:
        taken = await redis_client().execute("SET", lease.key, lease.token, "NX", "PX", life) is not None
    lease.ends = began + lease.ttl if taken else 0.0
    return taken


async def _is_ours(lease: Lease, *, fenced: bool) -> bool:
    """Whether the try whose answer was lost has locked it; if so its lease begins anew.

    ``SET … NX GET`` would have told, but not on Upstash, which answers null to a success and to a refusal
    (its docs, redis/commands/string/set.mdx: "when the key did not exist or a condition failed").
    """
    if not await renew(lease):
        return False
    if fenced:  # nobody takes another number while it is ours
        lease.fence = int(await redis_client().get(keys.lock_fence(lease.resource)) or 0)
    return True


async def renew(lease: Lease) -> bool:
    """Let it end ``ttl`` from now, if it is still ours; whether it is.

    Raises:
        Unavailable: Redis cannot say; it is held until the earlier of both ends.
    """
    began = monotonic()
    lease.ends = min(lease.ends, began + lease.ttl)
    ours = await set_if_equal(redis_client(), lease.key, lease.token, lease.token, milliseconds(lease.ttl))
    lease.ends = began + lease.ttl if ours else 0.0
    return ours


async def give_back(lease: Lease) -> bool:
    """Unlock; whether it was still ours.

    Raises:
        Unavailable: Redis cannot say; the lock ends with its lease.
    """
    held, lease.ends = lease.held, 0.0
    try:
        return await delete_if_equal(redis_client(), lease.key, lease.token)
    except OutcomeUnknown:  # twice does no harm, but the second answer may be that nothing was left to delete
        return await delete_if_equal(redis_client(), lease.key, lease.token) or held


async def keep(lease: Lease, guard: asyncio.Timeout) -> None:
    """Renew until it is cancelled; once the lease is lost, say so and cancel what ``guard`` guards."""
    pause = lease.ttl / 3
    while lease.held:
        await asyncio.sleep(min(pause, lease.left))
        pause = lease.ttl / 3
        try:
            async with asyncio.timeout(lease.left):
                await renew(lease)
        except (RaptorFlowError, TimeoutError) as error:
            warn("a lock could not be renewed yet", lease, error)
            pause = lease.ttl / 10
    lease.lost.set()
    guard.reschedule(asyncio.get_running_loop().time())


def warn(message: str, lease: Lease, error: Exception) -> None:
    """Log what happened to a lock."""
    log.warning(message, extra={"fields": {"resource": lease.resource, "error": repr(error)}})
