"""What a limit may be asked, what plans allow, and what a caller is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput
from common.redis import RateLimitService
from common.redis.rate_limit_config import DEFAULT_LIMIT, LIMITS, TIERS, get_limit, on_failure
from common.redis.rate_limit_models import Limit, RateLimitResult
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

ENDPOINT = "/api/v1/agents/execute"


async def check(limit: int) -> RateLimitResult:
    return await RateLimitService().check_limit("u", ENDPOINT, limit, 60)


def test_what_the_plans_multiply() -> None:
    assert get_limit(ENDPOINT, "free") == LIMITS[ENDPOINT] == (10, 60)
    assert get_limit("/api/v1/muse/generate", "enterprise") == (200, 60)
    assert [get_limit(ENDPOINT, tier)[0] for tier in TIERS] == [10, 20, 50, 100]
    assert get_limit("/another", "starter") == (2 * DEFAULT_LIMIT[0], DEFAULT_LIMIT[1])
    assert (on_failure(ENDPOINT), on_failure("/another")) == ("local", "allow")
    with pytest.raises(InvalidInput, match="free, starter, growth, enterprise"):
        get_limit(ENDPOINT, "pro")


@pytest.mark.parametrize(
    "arguments",
    [
        ("u", "e", 0, 60),
        ("u", "e", -1, 60),
        ("u", "e", 10**9 + 1, 60),
        ("u", "e", True, 60),
        ("u", "e", 1.5, 60),
        ("u", "e", float("nan"), 60),
        ("u", "e", "3", 60),
        ("u", "e", 3, 0),
        ("u", "e", 3, -1),
        ("u", "e", 3, float("nan")),
        ("u", "e", 3, float("inf")),
        ("u", "e", 3, 10**12),
        ("u", "e", 3, 60, 0),
        ("u", "e", 3, 60, -2),
        ("u", "e", 3, 60, 1.0),
        ("u", "e", 3, 60, 4),
        ("", "e", 3, 60),
        ("u", "", 3, 60),
        ("u", "\ud800", 3, 60),
        (None, "e", 3, 60),
    ],
)
async def test_nonsense_is_refused_before_anything_is_sent(
    client: RedisClient, count: Count, arguments: tuple[Any, ...]
) -> None:
    async with count() as spent:
        with pytest.raises(InvalidInput):
            await RateLimitService().check_limits([Limit("other", "e", 3, 60), Limit(*arguments)])
    assert spent.commands == 0


@pytest.mark.parametrize("limits", [[], [Limit("u", "e", 1, 60), Limit("u", "e", 2, 60.0)]])
async def test_several_limits_must_be_some_and_different(client: RedisClient, limits: list[Limit]) -> None:
    with pytest.raises(InvalidInput, match="different ones, and at least one"):
        await RateLimitService().check_limits(limits)


async def test_the_caller_is_told_in_headers(client: RedisClient) -> None:
    with Timeline(client) as time:
        assert (await check(2)).headers() == {
            "RateLimit-Limit": "2",
            "RateLimit-Remaining": "1",
            "RateLimit-Reset": "60",
            "RateLimit-Policy": "2;w=60",
        }
        time.step(1.5)
        await check(2)
        headers = (await check(2)).headers()
        assert (headers["Retry-After"], headers["RateLimit-Reset"], headers["RateLimit-Remaining"]) == ("59", "59", "0")
