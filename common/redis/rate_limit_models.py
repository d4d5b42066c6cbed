"""What is asked of a limit, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from common.errors import InvalidInput
from common.redis import keys
from common.redis.values import milliseconds

if TYPE_CHECKING:
    from datetime import datetime

MAX_LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class Limit:
    """``cost`` units of a limit, to be taken.

    Attributes:
        user_id: whom it limits: a user, a workspace, an address.
        endpoint: what it limits.
        limit: units for each window.
        window_seconds: its length; limits of one endpoint with different windows are counted apart.
        cost: units that this request takes.

    Raises:
        InvalidInput: a number is not what it says, or ``cost`` exceeds the limit and so could never be granted.
    """

    user_id: str
    endpoint: str
    limit: int
    window_seconds: float
    cost: int = 1
    key: str = field(init=False, repr=False)
    window_ms: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if type(self.limit) is not int or not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInput(f"a limit must be a whole number from 1 to {MAX_LIMIT}")
        if type(self.cost) is not int or self.cost < 1:
            raise InvalidInput("a cost must be a whole number from 1; to give something back, use refund")
        if self.cost > self.limit:
            raise InvalidInput(f"a cost of {self.cost} can never fit into a limit of {self.limit}: split the request")
        object.__setattr__(self, "window_ms", milliseconds(self.window_seconds, "a window"))
        object.__setattr__(self, "key", keys.rate_window(self.user_id, self.endpoint, self.window_ms))


class Taken(NamedTuple):
    """What was counted, so that it can be given back.

    Attributes:
        key: of the limit's log.
        moment: that it counts at, in milliseconds.
        units: how many.
    """

    key: str
    moment: int
    units: int


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    """The answer to a check; of several limits, that of the one which decides.

    Attributes:
        allowed: whether the request may run. If so it is counted.
        remaining: units that are left now.
        reset_at: if allowed, when `remaining` grows next; if not, from when on the same request is allowed.
        reset_after: seconds from now until `reset_at`.
        limit: units for each window.
        window_seconds: its length.
        degraded: Redis did not answer, so the endpoint's policy decided (`rate_limit_config`), and nothing is exact.
        taken: what `RateLimitService.refund` gives back; empty once it did.
    """

    allowed: bool
    remaining: int
    reset_at: datetime
    reset_after: float = 0.0
    limit: int = 0
    window_seconds: float = 0
    degraded: bool = False
    taken: list[Taken] = field(default_factory=list, repr=False, compare=False)

    def headers(self) -> dict[str, str]:
        """For the answer to the caller: draft-ietf-httpapi-ratelimit-headers-06, and ``Retry-After`` if refused.

        Example:
            >>> result.headers()["RateLimit-Policy"]
            '10;w=60'
        """
        wait = ceil(self.reset_after)
        headers = {} if self.allowed else {"Retry-After": str(max(1, wait))}
        if not self.degraded:
            headers["RateLimit-Limit"] = str(self.limit)
            headers["RateLimit-Remaining"] = str(self.remaining)
            headers["RateLimit-Reset"] = str(wait)
            headers["RateLimit-Policy"] = f"{self.limit};w={ceil(self.window_seconds)}"
        return headers
