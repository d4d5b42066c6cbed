"""Redis: what makes it fast. Importing this package, or a name from it, does not import the client library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.redis.cache import CacheService
    from common.redis.client import RedisClient
    from common.redis.pubsub import PubSubService
    from common.redis.queue import QueueService
    from common.redis.rate_limit import RateLimitService
    from common.redis.session import SessionService

_MODULES = {
    "CacheService": "cache",
    "PubSubService": "pubsub",
    "QueueService": "queue",
    "RateLimitService": "rate_limit",
    "RedisClient": "client",
    "SessionService": "session",
}

__all__ = ["CacheService", "PubSubService", "QueueService", "RateLimitService", "RedisClient", "SessionService"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
