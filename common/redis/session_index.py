"""A user's sessions, by the index of their keys: found, kept few, ended.

The index is told of a session when it begins, is renamed or is ended, not when it is used or expires; so whoever reads
it takes out what has ended. An id is never given twice: what has ended once can be taken out at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.redis.client import redis_client, require
from common.redis.session_record import Record, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.session_ids import Place

_AT_ONCE = 10
"""Sessions in one answer: each may have a quarter of a megabyte."""


async def living(epoch: str, index: str) -> dict[str, Record]:
    """A user's sessions by their keys, read in tens (X = 2 + n/10, 1 more if some had ended).

    Raises:
        Unavailable: Redis did not answer.
    """
    client = redis_client()
    # In this order: a session that began with a newer epoch than the one read is not yet in what was read before it.
    steps = [("ZRANGE", index, 0, -1), ("GET", epoch)]
    names, present = require(await client.pipeline(steps, idempotent=True))
    found: dict[str, Record] = {}
    ended: list[str] = []
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        for key, text in zip(part, await client.execute("MGET", *part, idempotent=True), strict=True):
            record = Record.valid(text, present)
            if record is None:
                ended.append(key)
            elif record.expires > now_ms():
                found[key] = record
    if ended:
        await client.execute("ZREM", index, *ended, idempotent=True)
    return found


async def make_room(place: Place, most: int) -> None:
    """End those of a user's sessions that were not used for longest, so that ``most`` stay, ``place`` among them.

    Raises:
        Unavailable: Redis did not answer.
    """
    found = await living(place.epoch, place.index)
    found.pop(place.session, None)
    excess = sorted(found, key=lambda key: found[key].touched)[: max(0, len(found) + 1 - most)]
    if excess:
        await end(place.index, excess)


async def end(index: str, names: Sequence[str]) -> int:
    """End sessions by their keys; how many there were (X = 2).

    Raises:
        Unavailable: Redis did not answer.
    """
    steps = [("DEL", *names), ("ZREM", index, *names)]
    ended, _ = require(await redis_client().pipeline(steps, idempotent=True))
    return int(ended)
