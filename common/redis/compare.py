"""Compare and then write or delete, in one step: one command where the server knows it, a script of two elsewhere.

Three spellings exist: ``DELEX key IFEQ value`` (Upstash, Redis 8.4), ``DELIFEQ key value`` (Valkey 9), Lua (the rest).
Which one a server knows is asked once per process, by three commands on a key that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from common.redis.errors import CommandRefused
from common.redis.keys import PROBE
from common.redis.lua.compare import DELETE_IF_EQUAL, SET_IF_EQUAL

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from common.redis.wire import Argument


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server knows beyond Redis 7.0.

    Attributes:
        set_if_equal: ``SET key value IFEQ old``.
        delete_if_equal: the command that compares and deletes; empty for none.
    """

    set_if_equal: bool
    delete_if_equal: Literal["DELEX", "DELIFEQ", ""]


_known: dict[str, Capabilities] = {}


async def capabilities(client: RedisClient) -> Capabilities:
    """What the server knows; asked once per process and server, in one round trip (X = 3, then 0).

    Raises:
        Unavailable: Redis did not answer in time.
    """
    server = client.config.server
    if server not in _known:
        delex, delifeq, ifeq = await client.pipeline(
            [("DELEX", PROBE, "IFEQ", ""), ("DELIFEQ", PROBE, ""), ("SET", PROBE, "", "IFEQ", "-", "PX", 1)],
            idempotent=True,
        )
        delete: Literal["DELEX", "DELIFEQ", ""] = "DELEX" if _knows(delex) else "DELIFEQ" if _knows(delifeq) else ""
        _known[server] = Capabilities(_knows(ifeq), delete)
    return _known[server]


async def delete_if_equal(client: RedisClient, key: str, expected: Argument) -> bool:
    """Delete ``key`` if it holds ``expected``; whether it did (X = 1, or 3 by script)."""
    spelling = (await capabilities(client)).delete_if_equal
    if spelling == "DELEX":
        return bool(await client.execute("DELEX", key, "IFEQ", expected))
    if spelling == "DELIFEQ":
        return bool(await client.execute("DELIFEQ", key, expected))
    return bool(await client.run(DELETE_IF_EQUAL, [key], [expected]))


async def set_if_equal(
    client: RedisClient, key: str, expected: Argument, value: Argument, ttl_ms: int | None = None
) -> bool:
    """Store ``value`` if ``key`` holds ``expected``; whether it did (X = 1, or 3 by script). Never creates a key.

    Args:
        client: to use.
        key: of a string.
        expected: the value that must be there.
        value: the new one; the same again extends its life.
        ttl_ms: milliseconds that it lives from now; None leaves the time it has.
    """
    if (await capabilities(client)).set_if_equal:
        life = ("KEEPTTL",) if ttl_ms is None else ("PX", ttl_ms)
        return await client.execute("SET", key, value, "IFEQ", expected, *life) is not None
    arguments = [expected, value, "" if ttl_ms is None else ttl_ms]
    return bool(await client.run(SET_IF_EQUAL, [key], arguments))


def _knows(reply: Any) -> bool:
    if isinstance(reply, Exception) and not isinstance(reply, CommandRefused):
        raise reply
    return not isinstance(reply, CommandRefused)
