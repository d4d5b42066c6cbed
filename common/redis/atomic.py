"""Steps on one value that nobody comes between (R18).

None of them is repeated by itself: a counter would count twice. Where a connection is lost after one was sent,
`OutcomeUnknown` says so, and only the caller knows whether it may be done again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common.errors import Unavailable
from common.redis.client import redis_client, require
from common.redis.compare import set_if_equal
from common.redis.config import RedisConfig
from common.redis.errors import InvalidValue
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from common.redis.wire import Argument

log = logging.getLogger(__name__)

MAX_INTEGER = 2**63 - 1


class AtomicOperations:
    """Counters, and values that are replaced.

    A counter keeps the end that it was made with, so it counts over a fixed time; a value that is written ends anew,
    as with `RedisClient.set`.

    Example:
        >>> await AtomicOperations().increment(keys.metrics("signups"), ttl=86_400)
        1
    """

    async def increment(self, key: str, amount: int = 1, *, ttl: float = RedisConfig.DEFAULT_TTL) -> int:
        """Add ``amount`` to a counter, which begins at 0; what it is then (X = 2, one round trip).

        Args:
            key: of the counter.
            amount: to add; may be negative.
            ttl: seconds that a counter lives from its beginning; one that exists keeps its end.

        Raises:
            OutOfRange: it would leave 64 bits; it stays as it was.
            NotANumber: the key holds something else than an integer.
            InvalidValue: ``amount`` is not an integer of 64 bits.
            InvalidTTL: ``ttl`` is not positive.
            OutcomeUnknown: it was sent, and no answer came: it may have been added.
            Unavailable: nothing was added.
        """
        if type(amount) is not int or abs(amount) > MAX_INTEGER:
            raise InvalidValue("what is added to a counter must be an integer of 64 bits")
        client, life = redis_client(), milliseconds(ttl)
        steps = [("SET", key, 0, "NX", "PX", life), ("INCRBY", key, amount)]
        made, count = require(await client.pipeline(steps))
        if made is None and count == amount:
            # It was at 0. Or it ended between the two steps, and the second made another one that never ends.
            try:
                await client.execute("PEXPIRE", key, life, "NX", idempotent=True)
            except Unavailable as error:  # it was added all the same
                log.warning("a counter may have no end: %s", error, extra={"fields": {"key": key}})
        value: int = count
        return value

    async def decrement(self, key: str, amount: int = 1, *, ttl: float = RedisConfig.DEFAULT_TTL) -> int:
        """Take ``amount`` from a counter; it may go below 0. Else as `increment`."""
        if type(amount) is not int:
            raise InvalidValue("what is taken from a counter must be an integer of 64 bits")
        return await self.increment(key, -amount, ttl=ttl)

    async def compare_and_set(
        self, key: str, expected: Argument | None, new_value: Argument, *, ttl: float = RedisConfig.DEFAULT_TTL
    ) -> bool:
        """Store ``new_value`` if the key holds ``expected``; whether it did (X = 1, or 3 by script).

        Args:
            key: of a value.
            expected: what must be there; None for nothing, then it is created.
            new_value: to store.
            ttl: seconds that it lives from now.

        Raises:
            WrongType: the key holds something else than text.
            InvalidTTL: ``ttl`` is not positive.
            OutcomeUnknown: it was sent, and no answer came: it may be stored.
            Unavailable: nothing was stored.
        """
        client, life = redis_client(), milliseconds(ttl)
        if expected is None:
            return await client.execute("SET", key, new_value, "NX", "PX", life) is not None
        return await set_if_equal(client, key, expected, new_value, life)

    async def get_and_set(self, key: str, new_value: Argument, *, ttl: float = RedisConfig.DEFAULT_TTL) -> str | None:
        """Store ``new_value`` for ``ttl`` seconds; what was there before, None for nothing (X = 1).

        Raises:
            WrongType: the key holds something else than text; it stays.
            InvalidValue: what was there is not Unicode; it is replaced all the same.
            InvalidTTL: ``ttl`` is not positive.
            OutcomeUnknown: it was sent, and no answer came: what was there may be gone.
            Unavailable: nothing was stored.
        """
        old: str | None = await redis_client().execute("SET", key, new_value, "GET", "PX", milliseconds(ttl))
        return old
