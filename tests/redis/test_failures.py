"""Servers that die, come back, stay silent or refuse; deadlines; what is repeated and what never is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from common.errors import Misconfigured, Unavailable
from common.functions import deadline
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from common.redis.errors import OutcomeUnknown
from tests.redis.proxy import certificate, proxy
from tests.redis.servers import TOKEN, RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.redis.counting import Count
    from tests.redis.proxy import Proxy


@pytest.fixture
async def between(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    async with proxy(redis_server.port) as made:
        yield made


@pytest.fixture
async def through(between: Proxy, client: RedisClient) -> AsyncIterator[RedisClient]:
    """A client through the proxy that waits 0.3 s for answers."""
    made = RedisClient(RedisConfig(f"redis://default:{quoted()}@127.0.0.1:{between.port}/0", command_timeout=0.3))
    yield made
    await made.aclose()


def quoted() -> str:
    return TOKEN.replace("/", "%2F").replace("+", "%2B")


async def test_a_first_answer_costs_one_round_trip_and_no_command_but_the_password(
    through: RedisClient, between: Proxy, count: Count
) -> None:
    async with count() as spent:
        await asyncio.gather(through.set("k", "v"), through.get("k"))
    assert spent.by_name == {"auth": 1, "set": 1, "get": 1}
    assert spent.round_trips == 1
    assert between.before_answer == len(between.sent) == 1


async def test_a_database_is_selected_before_anything_is_done(
    redis_server: RedisServer, client: RedisClient, count: Count
) -> None:
    other = RedisClient(RedisConfig(redis_server.full_url[:-1] + "3"))
    async with count() as spent:
        await other.set("k", "v")
    assert spent.by_name == {"auth": 1, "select": 1, "set": 1}
    assert spent.round_trips == 2
    await other.aclose()
    assert not await client.exists("k")
    wrong = RedisClient(RedisConfig(redis_server.full_url[:-1] + "999"))
    with pytest.raises(Misconfigured, match="no database /999"):
        await wrong.set("k", "v")
    await wrong.aclose()
    assert not await client.exists("k")


async def test_over_tls_the_first_answer_costs_one_round_trip_too(
    redis_server: RedisServer, client: RedisClient, tmp_path: Path
) -> None:
    context, trusted = certificate(tmp_path)
    async with proxy(redis_server.port, tls=context) as between:
        url = f"rediss://default:{quoted()}@127.0.0.1:{between.port}/0"
        encrypted = RedisClient(RedisConfig(f"{url}?ssl_ca_certs={trusted}"))
        await encrypted.set("k", "v")
        assert await client.get("k") == "v"
        assert between.before_answer == 1
        await encrypted.aclose()
        stranger = RedisClient(RedisConfig(url))
        with pytest.raises(Unavailable, match="cannot be reached"):
            await stranger.ping()
        await stranger.aclose()


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("redis://default:wrong@127.0.0.1:{port}/0", "set the password in UPSTASH_REDIS_URL"),
        ("redis://127.0.0.1:{port}/0", "UPSTASH_REDIS_TOKEN"),
    ],
)
async def test_a_wrong_password_says_which_value_to_set(redis_server: RedisServer, url: str, hint: str) -> None:
    client = RedisClient(RedisConfig(url.format(port=redis_server.port)))
    replies = await asyncio.gather(client.ping(), client.ping(), return_exceptions=True)
    assert all(isinstance(reply, Misconfigured) and hint in str(reply) for reply in replies), replies
    assert "wrong" not in str(replies)
    await client.aclose()


def test_a_token_that_is_no_password_says_to_take_the_other_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", "https://h.upstash.io")
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", "t")
    config = RedisConfig.from_environment()
    assert "set UPSTASH_REDIS_URL to the rediss:// URL" in config.password_hint
    assert config.upstash


async def test_redis_being_down_is_unavailable_at_once() -> None:
    client = RedisClient(RedisConfig("redis://127.0.0.1:1/0"))
    started = time.monotonic()
    replies = await asyncio.gather(*(client.ping() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(reply, Unavailable) for reply in replies)
    assert not any(isinstance(reply, OutcomeUnknown) for reply in replies)
    assert time.monotonic() - started < 1
    await client.aclose()


async def test_the_invocations_deadline_cuts_the_wait(through: RedisClient, between: Proxy) -> None:
    await through.ping()
    between.go_silent()
    started = time.monotonic()
    with pytest.raises(Unavailable):
        async with deadline.within(0.1):
            await through.incr("n")
    assert time.monotonic() - started < 0.25


async def test_the_invocations_deadline_cuts_connecting_too() -> None:
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    client = RedisClient(RedisConfig(f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        async with deadline.within(0.2):
            await client.incr("n")
    assert time.monotonic() - started < 0.5
    assert not isinstance(caught.value, OutcomeUnknown)
    assert len(accepted) == 1
    accepted[0].close()
    server.close()
    await client.aclose()


async def test_a_timed_out_connection_is_never_used_again(through: RedisClient, between: Proxy) -> None:
    await through.ping()
    between.go_silent()
    with pytest.raises(OutcomeUnknown, match=r"did not answer in 0\.3 s"):
        await through.incr("n")
    between.speak()
    assert await through.incr("n") == 1
    assert between.connections == 2


async def test_a_silent_connection_is_noticed_though_every_caller_gives_up_first(
    through: RedisClient, between: Proxy
) -> None:
    await through.ping()
    between.go_silent()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(through.incr("n"), 0.1)
    between.speak()
    await asyncio.sleep(0.15)  # until the oldest question is older than an answer may take
    assert await through.incr("n") == 1
    assert between.connections == 2


async def test_a_quiet_connection_is_replaced_before_it_is_trusted(between: Proxy, client: RedisClient) -> None:
    url = f"redis://default:{quoted()}@127.0.0.1:{between.port}/0"
    quiet = RedisClient(RedisConfig(url, max_idle=0.05))
    await quiet.ping()
    await asyncio.sleep(0.1)
    between.go_silent()  # the old one is half open now, and nobody was told
    between.speak()
    await quiet.incr("n")
    assert between.connections == 2
    await quiet.aclose()


async def test_a_cut_connection_is_replaced_before_the_next_command(through: RedisClient, between: Proxy) -> None:
    assert await through.incr("n") == 1
    between.cut()
    while through._batcher()._link is not None:
        await asyncio.sleep(0.001)
    assert await through.incr("n") == 2
    assert between.connections == 2


async def test_only_what_does_no_harm_is_repeated(through: RedisClient, between: Proxy, client: RedisClient) -> None:
    await through.set("k", "v")
    between.go_silent()
    reading, counting = asyncio.create_task(through.get("k")), asyncio.create_task(through.incr("n"))
    while len(between.sent) < 2:
        await asyncio.sleep(0.001)
    between.speak()
    between.cut()
    assert await reading == "v"
    with pytest.raises(OutcomeUnknown, match="lost"):
        await counting
    assert through.statistics.repeated == 1


async def test_a_server_that_was_killed_and_started_again(own_server: RedisServer) -> None:
    own_server.start()
    client = RedisClient(RedisConfig(own_server.full_url))
    assert await client.incr("n") == 1
    own_server.kill()
    with pytest.raises(Unavailable):
        await client.incr("n")
    own_server.start()
    assert await asyncio.gather(*(client.incr("n") for _ in range(20))) == list(range(1, 21))
    assert client.statistics.connections == 2
    await client.aclose()


async def test_a_server_that_comes_back_while_callers_wait_loses_nobody(own_server: RedisServer) -> None:
    own_server.start()
    client = RedisClient(RedisConfig(own_server.full_url, retries=6))
    await client.ping()
    own_server.kill()
    while client._batcher()._link is not None:
        await asyncio.sleep(0.001)
    waiting = [asyncio.create_task(client.incr("n")) for _ in range(20)]  # not sent, so not in doubt
    await asyncio.sleep(0.05)
    await asyncio.to_thread(own_server.start)
    assert await asyncio.gather(*waiting) == list(range(1, 21))
    await client.aclose()


async def test_what_was_sent_is_in_doubt_though_it_may_be_sent_again(own_server: RedisServer) -> None:
    own_server.start()
    client = RedisClient(RedisConfig(own_server.full_url, command_timeout=5))
    await client.ping()
    own_server.freeze()
    asking = asyncio.create_task(client.get("k"))
    while not client._batcher()._link.waiting:  # type: ignore[union-attr] # it has one
        await asyncio.sleep(0.001)
    own_server.kill()
    with pytest.raises(OutcomeUnknown, match=r"lost after it was sent, and then: Redis cannot be reached"):
        await asking
    await client.aclose()


async def test_a_frozen_server_is_unavailable_and_used_again_when_it_thaws(own_server: RedisServer) -> None:
    own_server.start()
    client = RedisClient(RedisConfig(own_server.full_url, command_timeout=0.2, connect_timeout=0.2))
    await client.ping()
    own_server.freeze()
    try:
        replies = await asyncio.gather(*(client.get("k") for _ in range(5)), return_exceptions=True)
        assert all(isinstance(reply, OutcomeUnknown) for reply in replies)
    finally:
        own_server.thaw()
    await client.ping()
    await client.aclose()


async def test_a_full_server_is_unavailable(own_server: RedisServer) -> None:
    own_server.start()
    client = RedisClient(RedisConfig(own_server.full_url))
    await client.execute("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(Unavailable, match="OOM"):
        await client.set("k", "v")
    await client.aclose()


FORK = """
import asyncio, gc, os, sys
from common.redis.client import RedisClient, redis_client
from common.redis.config import RedisConfig
kept = RedisClient(RedisConfig.from_environment())

async def child():
    gc.collect()
    assert await redis_client().incr("children") >= 1
    assert await kept.incr("children") >= 1
    assert redis_client().statistics.connections == kept.statistics.connections == 1
    await redis_client().aclose()
    await kept.aclose()

async def parent():
    for number in range(5):
        assert await redis_client().incr("parent") == 2 * number + 1
        assert await kept.incr("parent") == 2 * number + 2
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.set_event_loop(None)
                asyncio.new_event_loop().run_until_complete(child())
            except BaseException as error:
                print(repr(error), flush=True)
                os._exit(1)
            os._exit(0)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert status == 0
    assert await redis_client().get("children") == "10"
    assert redis_client().statistics.connections == kept.statistics.connections == 1
    await redis_client().aclose()
    await kept.aclose()

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.install()
asyncio.run(parent())
"""

FORK_OF_A_BRIDGE = """
import gc, os, sys
from common.redis.bridge import wait
from common.redis.client import redis_client

async def increment(key):
    value = await redis_client().incr(key)
    assert redis_client().statistics.connections == 1
    return value

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.install()
for number in range(5):
    assert wait(increment("parent")) == number + 1
    pid = os.fork()
    if pid == 0:
        try:
            assert wait(increment("children")) == number + 1
            gc.collect()
            assert wait(increment("grandchildren")) == number + 1
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize(("program", "connections"), [(FORK, 12), (FORK_OF_A_BRIDGE, 6)], ids=["loop", "bridge"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_fork_has_connections_of_its_own_and_leaves_its_parents_alone(
    redis_server: RedisServer,
    client: RedisClient,
    tmp_path: Path,
    program: str,
    connections: int,
    loop: str,
    scheme: str,
) -> None:
    context, trusted = certificate(tmp_path)
    async with proxy(redis_server.port, tls=context if scheme == "rediss" else None) as between:
        query = f"?ssl_ca_certs={trusted}" if scheme == "rediss" else ""
        environment = {
            **os.environ,
            "PYTHONPATH": ".",
            "UPSTASH_REDIS_URL": f"{scheme}://default:{quoted()}@127.0.0.1:{between.port}/0{query}",
        }
        command = [sys.executable, "-W", "error", "-c", program, loop]
        run = asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, timeout=30)
        done = await run
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert between.connections == connections
