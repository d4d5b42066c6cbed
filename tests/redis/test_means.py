"""The means of these tests do what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common import clock
from common.errors import Unavailable
from common.redis.errors import OutcomeUnknown
from tests.redis.faults import Died, faults
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient


async def test_time_passes_here_and_on_the_server(client: RedisClient) -> None:
    await client.set("short", "x", ex=50)
    await client.set("long", "x", ex=500)
    with Timeline(client) as time:
        await time.advance(100)
        assert (clock.now() - START).total_seconds() == 100
    assert await client.get("short") is None
    assert 390 < await client.ttl("long") <= 400
    assert clock.now() != START


async def test_each_request_has_its_fate(client: RedisClient) -> None:
    with faults("ok", "not sent", "answer lost", "dies before", "dies after"):
        assert await client.incr("k") == 1
        with pytest.raises(Unavailable):
            await client.incr("k")
        with pytest.raises(OutcomeUnknown):
            await client.incr("k")
        with pytest.raises(Died):
            await client.incr("k")
        with pytest.raises(Died):
            await client.incr("k")
        assert await client.incr("k") == 4
