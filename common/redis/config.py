"""How Redis is reached (R3)."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote, urlsplit

from common.config.secrets import secret_values
from common.errors import Misconfigured

_IN_URL = "set the password in UPSTASH_REDIS_URL, or leave it out there and set UPSTASH_REDIS_TOKEN"
_IN_TOKEN = "set UPSTASH_REDIS_TOKEN to the token that Upstash shows beside the URL"  # noqa: S105 - a sentence
_IN_HTTPS = (
    "set UPSTASH_REDIS_URL to the rediss:// URL that Upstash shows with the database, since the token that"
    " UPSTASH_REDIS_TOKEN holds is not its password"
)


@dataclass(frozen=True)
class RedisConfig:
    """Upstash over RESP and TLS; certificates are always verified.

    Attributes:
        url: ``rediss://`` with its credentials.
        connect_timeout: seconds for one try to connect, TLS included.
        command_timeout: seconds for an answer, cut to what is left of the invocation.
        retries: further tries of what was not sent, or may be sent twice.
        max_idle: seconds without traffic after which a connection is replaced rather than trusted: on the way, network
            equipment forgets quiet connections without telling either end (Google's after ten minutes).
        password_hint: what to set when the password is refused.
    """

    UPSTASH_REDIS_URL: ClassVar[str] = "UPSTASH_REDIS_URL"
    UPSTASH_REDIS_TOKEN: ClassVar[str] = "UPSTASH_REDIS_TOKEN"  # noqa: S105 - the variable's name
    KEY_PREFIX: ClassVar[str] = "raptorflow:"
    DEFAULT_TTL: ClassVar[int] = 3600
    MAX_CONNECTIONS: ClassVar[int] = 10

    url: str
    connect_timeout: float = 2.0
    command_timeout: float = 1.0
    retries: int = 2
    max_idle: float = 240.0
    password_hint: str = _IN_URL

    def __repr__(self) -> str:
        """Without the credentials."""
        return f"RedisConfig(host={urlsplit(self.url).hostname!r})"

    @property
    def server(self) -> str:
        """Where it is, ``host:port``, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or 6379}"

    @functools.cached_property
    def upstash(self) -> bool:
        """Whether it is Upstash, which locks the keys of a script one by one if the script asks for it."""
        return (urlsplit(self.url).hostname or "").endswith(".upstash.io")

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
            return cls(f"rediss://default:{quote(token, safe='')}@{parts.hostname}:6379", password_hint=_IN_HTTPS)
        if token and not parts.password:
            port = f":{parts.port}" if parts.port else ""
            credentials = f"default:{quote(token, safe='')}"
            query = f"?{parts.query}" if parts.query else ""
            return cls(
                f"{parts.scheme}://{credentials}@{parts.hostname}{port}{parts.path}{query}", password_hint=_IN_TOKEN
            )
        return cls(url)
