"""How much a process may enqueue without counting what waits: that would be a quarter of the cost.

Whoever has counted may put in a twentieth of the room that was left, for a second. One producer alone never enqueues
more than may wait, and twenty cannot together.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

SECONDS = 1.0
PART = 20


@dataclass(slots=True)
class _Room:
    jobs: int = 0
    until: float = 0.0


_rooms: dict[str, _Room] = {}


def must_count(queue_name: str, jobs: int) -> bool:
    """Whether ``jobs`` more may only be enqueued with a count; if not they are taken off the room."""
    room = _rooms.setdefault(queue_name, _Room())
    if jobs > room.jobs or monotonic() >= room.until:
        return True
    room.jobs -= jobs
    return False


def counted(queue_name: str, left: int) -> None:
    """Remember that there was room for so many jobs."""
    _rooms[queue_name] = _Room(left // PART, monotonic() + SECONDS)
