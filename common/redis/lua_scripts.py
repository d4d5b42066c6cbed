"""Every Lua script (R20), for warm-up and for tests; see `common.redis.scripts` for the rules that they keep.

A service imports its own from `common.redis.lua`, so that a function carries the scripts that it runs and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.redis.lua.backup import RESTORE_PART
from common.redis.lua.compare import DELETE_IF_EQUAL, SET_IF_EQUAL
from common.redis.lua.locks import ACQUIRE_FENCED
from common.redis.lua.queue import QUEUE_ACK_SCRIPT, QUEUE_BEAT_SCRIPT, QUEUE_DEQUEUE_SCRIPT, QUEUE_ENQUEUE_SCRIPT
from common.redis.lua.queue_care import (
    QUEUE_BURY_SCRIPT,
    QUEUE_CLEAR_SCRIPT,
    QUEUE_PROGRESS_SCRIPT,
    QUEUE_REPLAY_SCRIPT,
    QUEUE_RETURN_SCRIPT,
)
from common.redis.lua.rate_limit import RATE_LIMIT_SCRIPT, RATE_REFUND
from common.redis.lua.session import CREATE_SESSION, ROTATE_SESSION, UPDATE_SESSION
from common.redis.lua.usage import BUDGET_COMMIT, BUDGET_REFUND, BUDGET_RESERVE, RECORD_ONCE
from common.redis.scripts import Script

if TYPE_CHECKING:
    from common.redis.client import RedisClient

__all__ = [
    "ACQUIRE_FENCED",
    "BUDGET_COMMIT",
    "BUDGET_REFUND",
    "BUDGET_RESERVE",
    "CREATE_SESSION",
    "DELETE_IF_EQUAL",
    "QUEUE_ACK_SCRIPT",
    "QUEUE_BEAT_SCRIPT",
    "QUEUE_BURY_SCRIPT",
    "QUEUE_CLEAR_SCRIPT",
    "QUEUE_DEQUEUE_SCRIPT",
    "QUEUE_ENQUEUE_SCRIPT",
    "QUEUE_PROGRESS_SCRIPT",
    "QUEUE_REPLAY_SCRIPT",
    "QUEUE_RETURN_SCRIPT",
    "RATE_LIMIT_SCRIPT",
    "RATE_REFUND",
    "RECORD_ONCE",
    "RESTORE_PART",
    "ROTATE_SESSION",
    "SET_IF_EQUAL",
    "UPDATE_SESSION",
    "all_scripts",
    "register_scripts",
]


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
