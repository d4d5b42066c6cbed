"""The values that move through a subscription."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Message:
    """A published message; ``publish_time`` is cut to milliseconds, as the service's."""

    id: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    publish_time: datetime

    @property
    def published(self) -> str:
        """The publish time in the service's spelling, such as ``2027-01-31T09:30:00.250Z``."""
        return self.publish_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed out; ``attempt`` counts from 1."""

    ack_id: str
    message: Message
    attempt: int


@dataclass(frozen=True, slots=True)
class Policy:
    """How a subscription delivers.

    Attributes:
        ack_deadline: seconds of a lease, unless who takes the message says otherwise.
        minimum_backoff: seconds between the first failure and the second attempt; doubles from there.
        maximum_backoff: seconds, at most, between two attempts.
        max_attempts: deliveries before a message is buried; None for ever.
        ordered: whether ordering keys mean anything.
        exactly_once: whether an acknowledgement after the lease is void, and an error.
        retention: how long acknowledged messages are kept for seek; None not at all.
    """

    ack_deadline: float
    minimum_backoff: float
    maximum_backoff: float
    max_attempts: int | None
    ordered: bool
    exactly_once: bool
    retention: timedelta | None

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th delivery failed.

        Example:
            The service's push subscriptions without a retry policy start at 0.1 s and stop growing at 60 s:

            >>> policy = Policy(10, 0.1, 60, None, ordered=False, exactly_once=False, retention=None)
            >>> [policy.backoff(attempt) for attempt in (1, 2, 3, 11)]
            [0.1, 0.2, 0.4, 60]
        """
        doublings = min(attempt - 1, 32)
        return min(self.maximum_backoff, self.minimum_backoff * 2.0**doublings)
