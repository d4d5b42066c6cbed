"""How Redis is reached (R3)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote, urlsplit

from common.config.secrets import secret_values
from common.errors import Misconfigured


@dataclass(frozen=True)
class RedisConfig:
    """Upstash over RESP and TLS.

    Attributes:
        url: ``rediss://`` with its credentials.
        connections: at most, per process and event loop.
        connect_timeout: seconds.
        command_timeout: seconds, cut to what is left of the invocation.
    """

    KEY_PREFIX: ClassVar[str] = "raptorflow:"
    DEFAULT_TTL: ClassVar[int] = 3600
    MAX_CONNECTIONS: ClassVar[int] = 10

    url: str
    connections: int = 2
    connect_timeout: float = 2.0
    command_timeout: float = 1.0

    def __repr__(self) -> str:
        """Without the credentials."""
        return f"RedisConfig(host={urlsplit(self.url).hostname!r})"

    @classmethod
    def from_environment(cls) -> RedisConfig:
        """Read ``UPSTASH_REDIS_URL``, and ``UPSTASH_REDIS_TOKEN`` for a URL without a password.

        Upstash shows an ``https://`` URL and its token most prominently; that token is the RESP password too.

        Raises:
            Misconfigured: it is not set, of an unknown kind, or unencrypted on a deployed function.
        """
        url = next(iter(secret_values("upstash-redis-url")), "")
        token = next(iter(secret_values("upstash-redis-token")), "")
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "https"} or not parts.hostname:
            raise Misconfigured("UPSTASH_REDIS_URL must be a rediss:// URL (or Upstash's https:// one)")
        if parts.scheme == "https" and not token:
            raise Misconfigured("an https:// UPSTASH_REDIS_URL needs UPSTASH_REDIS_TOKEN")
        if parts.scheme == "redis" and os.environ.get("K_SERVICE"):
            raise Misconfigured("UPSTASH_REDIS_URL must be rediss:// on a deployed function")
        if parts.scheme == "https":
            return cls(url=f"rediss://default:{quote(token, safe='')}@{parts.hostname}:6379")
        if token and not parts.password:
            port = f":{parts.port}" if parts.port else ""
            url = f"{parts.scheme}://default:{quote(token, safe='')}@{parts.hostname}{port}{parts.path}"
        return cls(url=url)
