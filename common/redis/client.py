"""The connection to Redis (R2), as much of it as the payment path needs.

Default retries of the client library resend commands that may have been executed, and wait seconds when Redis is down
(measured on redis-py 8.1); so there are none: a failed command is `Unavailable`, and its caller decides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from common.errors import Misconfigured, Unavailable
from common.functions.deadline import remaining
from common.lifecycle import per_loop
from common.redis.config import RedisConfig

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub


class RedisClient:
    """A client; one per process and event loop, see `redis_client`."""

    def __init__(self, config: RedisConfig | None = None) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - at the first use
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        self._config = config or RedisConfig.from_environment()
        pool = BlockingConnectionPool.from_url(
            self._config.url,
            protocol=2,
            max_connections=self._config.connections,
            timeout=self._config.command_timeout,
            socket_connect_timeout=self._config.connect_timeout,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,  # would cost two commands for every new connection
        )
        self._redis: Redis = Redis(connection_pool=pool)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._redis.aclose(close_connection_pool=True)

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            Unavailable: there is none.
        """
        await self._execute("PING")

    async def publish(self, key: str, message: str) -> int:
        """Publish on a channel; how many listeners there were (X = 1).

        Raises:
            Unavailable: Redis did not answer in time.
        """
        heard: int = await self._execute("PUBLISH", key, message)
        return heard

    def listener(self) -> PubSub:
        """A subscription on a connection of its own."""
        return self._redis.pubsub(ignore_subscribe_messages=True)

    async def _execute(self, *command: str) -> Any:
        from redis.exceptions import AuthenticationError, RedisError  # noqa: PLC0415

        seconds = remaining(self._config.connect_timeout + self._config.command_timeout)
        try:
            async with asyncio.timeout(seconds):
                return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call] # the library's
        except AuthenticationError as error:
            raise Misconfigured("Redis refuses the password: set UPSTASH_REDIS_TOKEN, or the one in the URL") from error
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis cannot answer {command[0]} ({type(error).__name__})") from error


@per_loop
def redis_client() -> RedisClient:
    """The client of this process and event loop."""
    return RedisClient()
