"""What a database holds, read as plainly as can be: to compare before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.redis.client import require

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from common.redis.wire import Command

_READS: dict[str, tuple[str, ...]] = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "list": ("LRANGE", "0", "-1"),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    "stream": ("XRANGE", "-", "+"),
}


async def contents(client: RedisClient) -> dict[str, Any]:
    """Every key with its type, whether it ends, and its value; sets sorted, hashes as dicts."""
    names = sorted(await client.execute("KEYS", "*"))
    found = {}
    for name in names:
        kind = await client.execute("TYPE", name)
        verb, *rest = _READS[kind]
        command: Command = (verb, name, *rest)
        value, left = require(await client.pipeline([command, ("PTTL", name)], raw=True))
        if kind == "hash":
            value = dict(zip(value[::2], value[1::2], strict=True))
        found[name] = (kind, left >= 0, sorted(value) if kind == "set" else value)
    return found
