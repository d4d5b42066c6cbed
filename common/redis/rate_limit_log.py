"""The log of a limit: what was counted, and when, as one string of digits in Redis.

    0000000012 1764052200000 0000000013 1764052207500 0000000017        (without the spaces)
    └ units that have left the window before
               └ a moment, in milliseconds
                             └ all units up to it, those that have left included
                                        └ the next moment …

A unit counts from its moment for one window: of a window's length, no stretch of time holds more units than the limit.
Sums make it cheap: what a window holds is a difference, and binary search finds its beginning. They wrap at 10^10.

A limit of more than `FINE` has a log of at most `BUCKETS` + 1 moments: units of one bucket count at its last
millisecond. Never more than the limit either; what that gives up is that a unit may come back a hundredth of a window
late. `remaining` and `reset_at` say when it really does.

A log keeps 1,000 moments, which only counting without refusing can exceed; the oldest units then leave later than due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from common.redis.rate_limit_models import Limit

FINE = 1_000
"""The highest limit of which every unit has its own millisecond."""

BUCKETS = 100
_MODULUS = 10**10


class Standing(NamedTuple):
    """How much of a limit is used.

    Attributes:
        used: units that the window holds, without those asked for.
        leaves: the moment that must leave before those asked for fit; 0 if they fit now.
        oldest: the first moment in the window; for an empty one, the moment asked at.
        at: the moment that those asked for count at.
    """

    used: int
    leaves: int
    oldest: int
    at: int


def moment(limit: Limit, now: int) -> int:
    """The moment that units taken ``now`` (milliseconds) count at: the end of their bucket."""
    size = 1 if limit.limit <= FINE else -(-limit.window_ms // BUCKETS)
    return now // size * size + size - 1


def question(limit: Limit, now: int) -> str:
    """What the script is told of a limit."""
    at = moment(limit, now)
    return f"{at} {now - limit.window_ms} {limit.limit} {limit.cost} {at + limit.window_ms - now}"


def answers(answer: str) -> tuple[bool, list[Standing]]:
    """Whether the script counted, and what it says of each limit."""
    allowed, *numbers = map(int, answer.split())
    return allowed == 1, [Standing(*numbers[start : start + 4]) for start in range(0, len(numbers), 4)]


def read(log: str | None, limit: Limit, now: int) -> Standing:
    """What the script would say of a limit, from its log."""
    log = log or "0" * 10
    gone = int(log[:10])
    units: list[tuple[int, int]] = []  # in the window: a moment, and all units up to it
    for start in range(10, len(log), 23):
        at, total = int(log[start : start + 13]), int(log[start + 13 : start + 23])
        if at <= now - limit.window_ms:
            gone = total
        else:
            units.append((at, (total - gone) % _MODULUS))
    at = moment(limit, now)
    if not units:
        return Standing(0, 0, at, at)
    used = units[-1][1]
    over = used + limit.cost - limit.limit
    leaves = next((then for then, total in units if total >= over), 0) if over > 0 else 0
    return Standing(used, leaves, units[0][0], max(at, units[-1][0]))
