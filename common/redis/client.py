"""The client of Redis (R2): one connection per process and event loop, shared by all who ask at the same time.

    value = await redis_client().get(keys.cache(workspace_id, name))

`redis_client` is the one that services use. Answers are text; ``raw=True`` leaves bytes. ``idempotent=True`` is said of
what may safely be executed twice, and lets a lost connection go unnoticed; without it such a command ends in
`OutcomeUnknown`. Redis-py's own retries repeat what was executed (measured: INCR counts twice), so they are not used.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from common.errors import RaptorFlowError
from common.lifecycle import per_loop
from common.redis import pipeline
from common.redis.batching import Batcher, Statistics, shared_batcher
from common.redis.config import RedisConfig
from common.redis.errors import NoScript
from common.redis.values import milliseconds
from common.redis.wire import decode, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.pipeline import Step
    from common.redis.scripts import Script
    from common.redis.wire import Argument


class RedisClient:
    """Redis, from any event loop of any process.

    Args:
        config: where to; None for what the environment says, and the connection that everybody shares.
    """

    def __init__(self, config: RedisConfig | None = None) -> None:
        self._config = config
        self._own: WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher] = WeakKeyDictionary()
        self._pid = os.getpid()

    @property
    def config(self) -> RedisConfig:
        """Where it is connected to."""
        return self._batcher().config

    @property
    def statistics(self) -> Statistics:
        """What this event loop's connection did so far."""
        return self._batcher().statistics

    async def aclose(self) -> None:
        """Close this event loop's connection; the next call opens a new one."""
        await self._batcher().aclose()

    async def execute(
        self, *command: Argument, idempotent: bool = False, raw: bool = False, seconds: float | None = None
    ) -> Any:
        """Run one command.

        Args:
            command: its name and arguments.
            idempotent: running it twice does no harm.
            raw: leave bytes in the answer.
            seconds: to wait in all, if not a second for the answer and two for a connection that is needed; always
                cut to what is left of the invocation.

        Raises:
            CommandRefused: the server says no; `WrongType` for a key of another type.
            OutcomeUnknown: it was sent, and no answer came in time.
            Unavailable: it was not executed.
            InvalidValue: an argument cannot be sent, or the answer is not text.
            Misconfigured: the password is refused.
        """
        replies = await self._batcher().submit(pack(command), 1, idempotent=idempotent, seconds=seconds)
        return _only(replies, raw=raw)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument] = (),
        *,
        idempotent: bool = False,
        raw: bool = False,
        seconds: float | None = None,
    ) -> Any:
        """Run a script: by its hash, and by its text where the server does not know it.

        Raises:
            Exception: see `execute`.
        """
        batcher = self._batcher()
        locking = batcher.config.upstash
        command = pack(script.by_sha(keys, arguments, key_locking=locking))
        try:
            return _only(await batcher.submit(command, 1, idempotent=idempotent, seconds=seconds), raw=raw)
        except NoScript:  # nothing of it was executed
            command = pack(script.by_text(keys, arguments, key_locking=locking))
            return _only(await batcher.submit(command, 1, idempotent=idempotent, seconds=seconds), raw=raw)

    async def pipeline(
        self,
        steps: Sequence[Step],
        *,
        transaction: bool = False,
        idempotent: bool = False,
        raw: bool = False,
        seconds: float | None = None,
    ) -> list[Any]:
        """Run several commands and scripts in one round trip, in order.

        Each gets its own result: an answer, or the exception that it would have raised. `require` raises the first.
        Long pipelines leave in parts of 1,000, so that they hold nobody up.

        Args:
            steps: commands as tuples, and `ScriptCall`.
            transaction: all of them without anybody in between, none if one cannot be understood.
            idempotent: running them twice does no harm.
            raw: leave bytes in the answers.
            seconds: to wait for each part's answers, if not a second.

        Raises:
            InvalidValue: an argument cannot be sent, or a transaction is too large.
            CommandRefused: a transaction was refused as a whole.
            Unavailable: see `execute`.
        """
        replies = await pipeline.run(
            self._batcher(), steps, transaction=transaction, idempotent=idempotent, seconds=seconds
        )
        return replies if raw else [pipeline.decoded(reply) for reply in replies]

    async def ping(self) -> None:
        """Ask for a sign of life (X = 1).

        Raises:
            Unavailable: there is none.
        """
        await self.execute("PING", idempotent=True)

    async def get(self, key: str) -> str | None:
        """A value, or None (X = 1)."""
        value: str | None = await self.execute("GET", key, idempotent=True)
        return value

    async def set(self, key: str, value: Argument, ex: float | None = None) -> None:
        """Store a value for ``ex`` seconds, or for `RedisConfig.DEFAULT_TTL`: nothing is kept forever (X = 1).

        Raises:
            InvalidTTL: ``ex`` is not positive.
        """
        ttl = milliseconds(RedisConfig.DEFAULT_TTL if ex is None else ex)
        await self.execute("SET", key, value, "PX", ttl, idempotent=True)

    async def delete(self, key: str, *more: str) -> int:
        """Remove keys; how many there were (X = 1)."""
        removed: int = await self.execute("DEL", key, *more)
        return removed

    async def exists(self, key: str) -> bool:
        """Whether there is a value (X = 1)."""
        return bool(await self.execute("EXISTS", key, idempotent=True))

    async def expire(self, key: str, seconds: float) -> bool:
        """Let a key live so much longer; False if there is none (X = 1).

        Raises:
            InvalidTTL: ``seconds`` is not positive.
        """
        return bool(await self.execute("PEXPIRE", key, milliseconds(seconds), idempotent=True))

    async def ttl(self, key: str) -> int:
        """Seconds that a key has left; -1 for ever, -2 if there is none (X = 1)."""
        seconds: int = await self.execute("TTL", key, idempotent=True)
        return seconds

    async def incr(self, key: str) -> int:
        """Add one; a new counter lives for `RedisConfig.DEFAULT_TTL`, `expire` gives it longer (X = 2).

        `AtomicOperations` counts with a life of one's own choice.
        """
        return await self._count("INCR", key)

    async def decr(self, key: str) -> int:
        """Take one away; see `incr` (X = 2)."""
        return await self._count("DECR", key)

    async def _count(self, command: str, key: str) -> int:
        life = ("PEXPIRE", key, milliseconds(RedisConfig.DEFAULT_TTL), "NX")
        value: int
        value, _ = require(await self.pipeline([(command, key), life]))
        return value

    def _batcher(self) -> Batcher:
        if self._config is None:
            return shared_batcher()
        if self._pid != os.getpid():
            self._own, self._pid = WeakKeyDictionary(), os.getpid()
        loop = asyncio.get_running_loop()
        if loop not in self._own:
            self._own[loop] = Batcher(self._config)
        return self._own[loop]


def _only(replies: Sequence[Any], *, raw: bool) -> Any:
    """The answer of one command."""
    (reply,) = replies
    if isinstance(reply, RaptorFlowError):
        raise reply
    return reply if raw else decode(reply)


def require(replies: Sequence[Any]) -> list[Any]:
    """The answers of a pipeline of which nothing may fail.

    Raises:
        RaptorFlowError: the first error among them.
    """
    for reply in replies:
        if isinstance(reply, RaptorFlowError):
            raise reply
    return list(replies)


@per_loop
def redis_client() -> RedisClient:
    """The client of this process and event loop."""
    return RedisClient()
