"""Sessions (R80): begun, read, kept alive, ended; what each costs."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from common.redis import SessionService, keys
from tests.redis.counting import keys_without_end
from tests.redis.faults import faults
from tests.redis.timeline import START, Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count
    from tests.redis.servers import RedisServer

IDLE = SessionService.DEFAULT_TTL
LIFETIME = SessionService.MAX_LIFETIME


@pytest.fixture
def sessions(client: RedisClient) -> SessionService:
    return SessionService()


async def test_create_session(sessions: SessionService, client: RedisClient, test_session_data: dict[str, Any]) -> None:
    session_id = await sessions.create_session(**test_session_data)
    assert session_id != await sessions.create_session(**test_session_data)
    assert await client.exists(keys.session(session_id))
    assert keys.session(session_id).startswith(f"raptorflow:{SessionService.KEY_PREFIX}")
    assert IDLE - 2 < await client.ttl(keys.session(session_id)) <= IDLE
    assert not await keys_without_end(client)


async def test_get_session(sessions: SessionService, client: RedisClient, test_session_data: dict[str, Any]) -> None:
    with Timeline(client):
        session_id = await sessions.create_session(**test_session_data)
        session = await sessions.get_session(session_id)
    assert session is not None
    assert session.session_id == session_id
    assert session.user_id == test_session_data["user_id"]
    assert session.workspace_id == test_session_data["workspace_id"]
    assert session.context == test_session_data["metadata"]
    assert (session.current_agent, session.messages) == (None, [])
    assert session.created_at == session.last_active_at == START
    assert session.expires_at == START + timedelta(seconds=IDLE)


async def test_session_expiry(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w", None)
        await time.advance(IDLE - 50)
        assert await sessions.get_session(session_id)
        await time.advance(IDLE - 50)
        assert await sessions.get_session(session_id)
        await time.advance(IDLE)
        assert await sessions.get_session(session_id) is None
        assert await sessions.update_session(session_id, {"current_agent": "muse"}) is None
        assert not await sessions.extend_session(session_id, 60)


async def test_a_session_expires_without_anybody_looking(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionService, "DEFAULT_TTL", 0.2)
    session_id = await SessionService().create_session("u", "w")
    await asyncio.sleep(0.25)
    assert not await client.exists(keys.session(session_id))


async def test_a_session_ends_at_the_latest_however_much_it_is_used(
    sessions: SessionService, client: RedisClient
) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        for _ in range(LIFETIME // 1500):
            session = await sessions.get_session(session_id)
            assert session
            await time.advance(1500)
        assert await sessions.extend_session(session_id, 10**6)
        session = await sessions.get_session(session_id)
        assert session
        assert session.expires_at == START + timedelta(seconds=LIFETIME)
        await time.advance(LIFETIME % 1500)
        assert await sessions.get_session(session_id) is None
        assert await client.execute("DBSIZE") == 0


async def test_extend_session(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        assert await sessions.extend_session(session_id, 7200)
        assert await sessions.extend_session(session_id, 60), "shortens nothing"
        await time.advance(1000)
        session = await sessions.get_session(session_id)
        assert session
        assert session.expires_at == START + timedelta(seconds=7200)
        assert await sessions.update_session(session_id, {})
        await time.advance(6150)
        assert await sessions.get_session(session_id)
        await time.advance(IDLE)
        assert await sessions.get_session(session_id) is None
        assert not await sessions.extend_session(session_id, 60)


async def test_delete_session(sessions: SessionService, client: RedisClient) -> None:
    session_id = await sessions.create_session("u", "w")
    assert await sessions.delete_session(session_id)
    assert await sessions.get_session(session_id) is None
    assert not await sessions.delete_session(session_id)
    assert await client.execute("DBSIZE") == 0


async def test_what_each_costs(
    sessions: SessionService, client: RedisClient, count: Count, redis_server: RedisServer
) -> None:
    swap = {"valkey": 1, "redis": 3}[redis_server.kind]
    with Timeline(client) as time:
        async with count() as create:
            session_id = await sessions.create_session("u", "w", {"a": 1})
        async with count() as read:
            session = await sessions.get_session(session_id)
        async with count() as change:
            await sessions.update_session(session_id, {"messages": ["hello"]}, seen=session)
        async with count() as extend:
            await sessions.extend_session(session_id, 3600)
        await time.advance(IDLE / 10 - 1)
        async with count() as read_soon:
            await sessions.get_session(session_id)
        await time.advance(1)
        async with count() as read_later:
            await sessions.get_session(session_id)
        async with count() as no_id:
            assert await sessions.get_session("no id of ours") is None
        async with count() as end:
            await sessions.delete_session(session_id)
    costs = [(spent.commands, spent.round_trips) for spent in (create, read, change, extend, end)]
    assert costs == [(6, 1), (1, 1), (3, 1), (3, 1), (2, 1)]
    assert [(spent.commands, spent.round_trips) for spent in (read_soon, read_later)] == [(1, 1), (1 + swap, 2)]
    assert no_id.commands == 0


async def test_a_read_stands_though_its_session_could_not_be_told(
    sessions: SessionService, client: RedisClient
) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        await time.advance(200)
        with faults("ok", "not sent"):
            session = await sessions.get_session(session_id)
        assert session
        assert session.expires_at == START + timedelta(seconds=IDLE)
        session = await sessions.get_session(session_id)
        assert session
        assert session.expires_at == START + timedelta(seconds=200 + IDLE)


@pytest.mark.parametrize("use", ["read", "update"])
async def test_a_clock_that_was_ahead_keeps_no_session_alive(
    sessions: SessionService, client: RedisClient, use: str
) -> None:
    with Timeline(client) as time:
        time.step(36_000)
        session_id = await sessions.create_session("u", "w")
        time.step(-36_000)
        reading = sessions.get_session(session_id) if use == "read" else sessions.update_session(session_id, {})
        session = await reading
        assert session
        assert session.expires_at == START + timedelta(seconds=IDLE)
        assert await client.ttl(keys.session(session_id)) <= IDLE


async def test_no_clock_lets_a_key_outlive_the_epoch_that_would_end_it(
    sessions: SessionService, client: RedisClient
) -> None:
    with Timeline(client) as time:
        time.step(36_000)
        session_id = await sessions.create_session("u", "w")
        time.step(-36_000)
        assert await sessions.extend_session(session_id, 10**6)
        assert LIFETIME - 2 < await client.ttl(keys.session(session_id)) <= LIFETIME
        await time.advance(200)
        assert await sessions.get_session(session_id)
        assert LIFETIME - 2 < await client.ttl(keys.session(session_id)) <= LIFETIME


async def test_what_has_ended_by_our_clock_is_left_alone(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        time.step(IDLE)
        assert await sessions.get_session(session_id) is None
        assert await sessions.update_session(session_id, {"current_agent": "muse"}) is None
        assert not await sessions.extend_session(session_id, 60)
        assert await sessions.rotate_session(session_id) is None
        assert await sessions.list_sessions("u") == []
        time.step(-IDLE)
        session = await sessions.get_session(session_id)
        assert session
        assert session.current_agent is None
        assert len(await sessions.list_sessions("u")) == 1


async def test_no_id_is_to_be_found_anywhere(
    sessions: SessionService, client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session_id = await sessions.create_session("somebody", "w")
    session = await sessions.get_session(session_id)
    await sessions.update_session(session_id, {"messages": ["a secret"]}, seen=session)
    secret = session_id.partition(".")[2]
    for name in await client.execute("KEYS", "*"):
        text = str(await client.execute("DUMP", name, raw=True)) + name
        assert secret not in text
        assert "somebody" not in name
    assert secret not in repr(session)
    assert secret not in caplog.text


async def test_sessions_on_the_double(mock_redis: RedisClient) -> None:
    sessions = SessionService()
    session_id = await sessions.create_session("u", "w", {"a": []})
    session = await sessions.update_session(session_id, {"messages": [{"a": 2**60}]})
    assert session
    assert session == await sessions.get_session(session_id)
    new_id = await sessions.rotate_session(session_id)
    assert new_id
    assert [info.handle for info in await sessions.list_sessions("u")] == [keys.session(new_id)[-64:]]
    await sessions.revoke_sessions("u")
    assert await sessions.get_session(new_id) is None
