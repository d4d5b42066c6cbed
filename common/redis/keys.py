"""Every key's name (R4), on one page; the braces of the patterns are placeholders.

``session:{session_id}`` · ``cache:{workspace_id}:{key}`` · ``rate:{user_id}:{endpoint}`` · ``queue:{queue_name}`` ·
``pubsub:{channel}`` · ``lock:{resource}`` · ``usage:{workspace_id}:{period}``, all below ``raptorflow:``.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from common.errors import InvalidInput
from common.redis.config import RedisConfig

MAX_PART_BYTES = 200
_PLAIN = "/-_.~@+=,!"


def session(session_id: str) -> str:
    """A session; the id itself never lies in a key."""
    return _key("session", hashlib.sha256(_given(session_id).encode()).hexdigest())


def cache(workspace_id: str, key: str) -> str:
    """A workspace's cached value."""
    return _key("cache", workspace_id, key)


def rate(user_id: str, endpoint: str) -> str:
    """A user's requests to an endpoint."""
    return _key("rate", user_id, endpoint)


def queue(queue_name: str) -> str:
    """A job queue."""
    return _key("queue", queue_name)


def pubsub(channel: str) -> str:
    """A live channel."""
    return _key("pubsub", channel)


def lock(resource: str) -> str:
    """A lock."""
    return _key("lock", resource)


def usage(workspace_id: str, period: str) -> str:
    """A workspace's usage in a month, ``2026-11``."""
    return _key("usage", workspace_id, period)


def _key(*parts: str) -> str:
    return RedisConfig.KEY_PREFIX + ":".join(_part(part) for part in parts)


def _part(value: str) -> str:
    """One part, so escaped that no part can pretend to be two, nor be a hash tag or a pattern; long ones hashed."""
    escaped = quote(_given(value), safe=_PLAIN)
    return escaped if len(escaped) <= MAX_PART_BYTES else "sha256-" + hashlib.sha256(value.encode()).hexdigest()


def _given(value: str) -> str:
    if not value:
        raise InvalidInput("a part of a Redis key must not be empty")
    return value
