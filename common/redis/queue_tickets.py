"""Where a job stands in its queue: the sorted set's score, and the member that carries all that a script must know.

A ticket is ``score|number|attempts|job_id``; waiting, it is a member of the ready set under that score, delayed it is
``d<ticket>`` and leased ``l<token>|<ticket>`` among the timers. So a lease that ends, or a try that failed, puts the
job back where it stood, without its body being read.

The score is ``-priority * 2^41`` plus milliseconds: 2^41 of them are 69 years, and up to a priority of 2047 the sum is
below 2^53, where every whole number is exact in a double. Jobs of one millisecond go by the number, which counts up
in each process; so what one producer enqueues stays in order, though its clock were set back.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Self

from common.redis.errors import InvalidJob

MAX_PRIORITY = 2047
SPAN = 2**41
EPOCH_MS = 1_735_689_600_000
"""2025-01-01; the stamps last until 2094."""

AFTER = 2**50
"""Added to the time of what is over: completed jobs and dead letters stand behind every timer of a job."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job's place.

    Attributes:
        order: score and number.
        attempts: tries that ended badly.
        job_id: whose.
    """

    order: str
    attempts: int
    job_id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ticket as it stands in Redis."""
        score, number, attempts, job_id = text.split("|", 3)
        return cls(f"{score}|{number}", int(attempts), job_id)

    @classmethod
    def of_lease(cls, lease: str) -> Self:
        """The ticket in the name of a lease."""
        return cls.parse(lease.partition("|")[2])

    def __str__(self) -> str:
        return f"{self.order}|{self.attempts}|{self.job_id}"

    @property
    def score(self) -> str:
        """In the ready set."""
        return self.order.partition("|")[0]

    @property
    def delayed(self) -> str:
        """Among the timers, while it waits for its time."""
        return f"d{self}"

    def leased(self, token: str) -> str:
        """Among the timers, while whoever has the token holds it."""
        return f"l{token}|{self}"

    def tried(self) -> Self:
        """After one more try that ended badly."""
        return replace(self, attempts=self.attempts + 1)


class Line:
    """Gives out places, in order; one per process."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._latest = 0

    def place(self, priority: int, now_ms: int, delay_ms: int = 0) -> str:
        """The order of a job that may run from ``delay_ms`` after ``now_ms`` on.

        Raises:
            InvalidJob: the priority is no whole number within the bounds.
        """
        if type(priority) is not int or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
            raise InvalidJob(f"a priority must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}")
        self._latest = max(self._latest, now_ms)
        at = now_ms + delay_ms if delay_ms else self._latest
        score = -priority * SPAN + min(max(at - EPOCH_MS, 0), SPAN - 1)
        return f"{score}|{next(self._numbers) & 0xFFFFFFFF:08x}"


line = Line()
