"""Every Lua script (R20); see `common.redis.scripts` for the rules that they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.redis.scripts import Script

if TYPE_CHECKING:
    from common.redis.client import RedisClient

# --- compare.py: where the server has no single command for it

DELETE_IF_EQUAL = Script(
    "delete_if_equal",
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
)

SET_IF_EQUAL = Script(
    "set_if_equal",
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
""",
)


def all_scripts() -> tuple[Script, ...]:
    """Every script on this page."""
    return tuple(value for value in globals().values() if isinstance(value, Script))


async def register_scripts(client: RedisClient | None = None) -> dict[str, str]:
    """Make every script known to the server, in one round trip; names and what the server knows them by.

    Never needed: a script makes itself known at its first run. For warm-up, and to have all of them compiled once.

    Raises:
        Unavailable: Redis did not answer in time.
        CommandRefused: a script does not compile.
    """
    from common.redis.client import redis_client, require  # noqa: PLC0415 - they use scripts themselves

    client = client or redis_client()
    scripts = all_scripts()
    loads = [("SCRIPT", "LOAD", script.text(key_locking=client.config.upstash)) for script in scripts]
    shas = require(await client.pipeline(loads, idempotent=True))
    return {script.name: sha for script, sha in zip(scripts, shas, strict=True)}
