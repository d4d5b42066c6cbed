"""How much of what anybody may do (R10), and what happens while Redis does not answer."""

from __future__ import annotations

from typing import Literal

from common.errors import InvalidInput

LIMITS = {
    "/api/v1/agents/execute": (10, 60),
    "/api/v1/muse/generate": (20, 60),
    "/api/v1/daily-wins/generate": (5, 60),
    "/api/v1/uploads": (10, 60),
    "/api/v1/exports": (5, 60),
    "daily": (1_000, 86_400),
}
"""Requests of one user on the free plan, and the seconds in which; ``daily`` counts all of a user's requests."""

DEFAULT_LIMIT = (100, 60)
"""Of an endpoint that is not in `LIMITS`."""

TIERS = {"free": 1, "starter": 2, "growth": 5, "enterprise": 10}
"""What a plan multiplies `LIMITS` by."""

FAILED_VERIFICATIONS = (30, 60)
"""Webhooks of one source that fail verification, and the seconds in which, before they are told to come later."""

OnFailure = Literal["allow", "refuse", "local"]

ON_FAILURE: dict[str, OnFailure] = {
    "/api/v1/agents/execute": "local",
    "/api/v1/muse/generate": "local",
    "/api/v1/daily-wins/generate": "local",
    "/api/v1/exports": "refuse",
}
"""What decides while Redis does not answer; every other endpoint allows.

``local``: each process counts by itself, since these spend money; ``refuse``: it can wait, and costs much.
"""


def get_limit(endpoint: str, user_tier: str) -> tuple[int, int]:
    """Requests and seconds for an endpoint and a plan.

    Raises:
        InvalidInput: there is no such plan.

    Example:
        >>> get_limit("/api/v1/agents/execute", "growth")
        (50, 60)
    """
    if user_tier not in TIERS:
        raise InvalidInput(f"there is no plan of that name; there are {', '.join(TIERS)}")
    limit, window_seconds = LIMITS.get(endpoint, DEFAULT_LIMIT)
    return limit * TIERS[user_tier], window_seconds


def on_failure(endpoint: str) -> OnFailure:
    """What decides about an endpoint while Redis does not answer."""
    return ON_FAILURE.get(endpoint, "allow")
