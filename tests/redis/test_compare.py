"""Compare and set, compare and delete: the same everywhere, and at the server's cheapest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.redis import compare
from common.redis.client import RedisClient
from common.redis.compare import Capabilities, delete_if_equal, set_if_equal
from common.redis.config import RedisConfig
from tests.redis.double import double

if TYPE_CHECKING:
    import pytest

    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer


async def exercise(client: RedisClient) -> None:
    assert not await set_if_equal(client, "k", "a", "b", 1000)
    assert not await delete_if_equal(client, "k", "a")
    assert not await client.exists("k")
    await client.set("k", "a", ex=50)
    assert not await set_if_equal(client, "k", "x", "b")
    assert await set_if_equal(client, "k", "a", "b")
    assert 45 < await client.ttl("k") <= 50
    assert await set_if_equal(client, "k", "b", "b", 500_000)
    assert 450 < await client.ttl("k") <= 500
    assert not await delete_if_equal(client, "k", "a")
    assert await client.get("k") == "b"
    assert await delete_if_equal(client, "k", "b")
    assert not await client.exists("k")


async def test_compare(client: RedisClient) -> None:
    await exercise(client)


async def test_compare_on_the_double(mock_redis: RedisClient) -> None:
    await exercise(mock_redis)


async def test_compare_in_the_spelling_of_upstash_and_redis_8() -> None:
    with double(version=(8, 4)) as port:
        client = RedisClient(RedisConfig(f"redis://127.0.0.1:{port}/0"))
        assert (await compare.capabilities(client)).delete_if_equal == "DELEX"
        await exercise(client)
        await client.aclose()


async def test_compare_by_script_is_the_same(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(compare._known, client.config.server, Capabilities(set_if_equal=False, delete_if_equal=""))
    await exercise(client)


async def test_each_server_is_known_for_what_it_is(client: RedisClient, redis_server: RedisServer) -> None:
    known = {"valkey": Capabilities(True, "DELIFEQ"), "redis": Capabilities(False, "")}
    assert await compare.capabilities(client) == known[redis_server.kind]


async def test_compare_costs_one_command_where_the_server_knows_it(
    client: RedisClient, redis_server: RedisServer, count: Count
) -> None:
    cost = {"valkey": 1, "redis": 3}[redis_server.kind]
    await client.set("k", "a")
    async with count() as spent:
        assert await set_if_equal(client, "k", "a", "b", 1000)
    assert (spent.commands, spent.round_trips) == (cost, 1), spent
    async with count() as spent:
        assert await delete_if_equal(client, "k", "b")
    assert (spent.commands, spent.round_trips) == (cost, 1), spent


async def test_a_server_is_asked_once_and_keeps_nothing_of_it(
    client: RedisClient, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(compare._known, client.config.server)
    async with count() as spent:
        await compare.capabilities(client)
    assert spent.round_trips == 1
    async with count() as spent:
        await compare.capabilities(client)
    assert spent.commands == 0
    assert await client.execute("DBSIZE") == 0
