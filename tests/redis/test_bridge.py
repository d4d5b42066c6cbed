"""The asynchronous client from threads and scripts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from common.functions import deadline
from common.redis import bridge
from common.redis.bridge import wait
from common.redis.client import RedisClient, redis_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.redis.servers import RedisServer


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    bridge.serve_on(None)


async def test_threads_share_the_serving_loops_connection(client: RedisClient) -> None:
    bridge.serve_on(asyncio.get_running_loop())

    async def increment() -> int:
        return await redis_client().incr("n")

    with ThreadPoolExecutor(8) as threads:
        calls = [asyncio.get_running_loop().run_in_executor(threads, lambda: wait(increment())) for _ in range(1000)]
        assert sorted(await asyncio.gather(*calls)) == list(range(1, 1001))
    assert client.statistics.connections == 1


async def test_the_callers_deadline_holds_on_the_other_side(client: RedisClient) -> None:
    bridge.serve_on(asyncio.get_running_loop())

    async def left() -> float:
        return deadline.remaining(60)

    async with deadline.within(5):
        assert await asyncio.to_thread(lambda: wait(left())) <= 5


async def test_what_takes_too_long_is_cancelled(client: RedisClient) -> None:
    bridge.serve_on(asyncio.get_running_loop())
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.to_thread(lambda: wait(endless(), seconds=0.05))
    await asyncio.wait_for(ended.wait(), 5)


async def test_waiting_on_a_loop_for_itself_is_refused() -> None:
    async def nothing() -> None: ...

    with pytest.raises(RuntimeError, match="use await"):
        wait(nothing())


SCRIPT = """
from common.redis.bridge import wait
from common.redis.client import redis_client

async def increment():
    return await redis_client().incr("n")

assert [wait(increment()) for _ in range(3)] == [1, 2, 3]

async def connections():
    return redis_client().statistics.connections

assert wait(connections()) == 1
"""


async def test_a_script_needs_no_loop_of_its_own(client: RedisClient, redis_server: RedisServer) -> None:
    environment = {**os.environ, "PYTHONPATH": ".", "UPSTASH_REDIS_URL": redis_server.full_url}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
