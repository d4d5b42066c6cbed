"""A user's sessions: listed, ended, all of them at once, given another id, kept few."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from common.redis import SessionService, keys
from common.redis.batching import Batcher
from common.redis.errors import InvalidKey, InvalidValue, OutcomeUnknown
from common.redis.session_ids import epoch_and_index_of, place_of
from tests.redis.counting import keys_without_end
from tests.redis.faults import faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

IDLE = SessionService.DEFAULT_TTL
LIFETIME = SessionService.MAX_LIFETIME


@pytest.fixture
def sessions(client: RedisClient) -> SessionService:
    return SessionService()


async def test_revoking_ends_all_at_once(sessions: SessionService, client: RedisClient, count: Count) -> None:
    ours = [await sessions.create_session("u", "w") for _ in range(3)]
    theirs = await sessions.create_session("another", "w")
    async with count() as spent:
        await sessions.revoke_sessions("u")
    assert (spent.commands, spent.round_trips) == (1, 1)
    assert [await sessions.get_session(session_id) for session_id in ours] == [None] * 3
    assert await sessions.get_session(theirs)
    assert await sessions.list_sessions("u") == []
    async with count() as spent:
        later = await sessions.create_session("u", "w")
    assert (spent.commands, spent.round_trips) == (7, 1)
    assert await sessions.get_session(later)
    assert not await keys_without_end(client)


async def test_an_epoch_outlives_whatever_it_ends_and_whatever_begins_in_it(
    sessions: SessionService, client: RedisClient
) -> None:
    with Timeline(client) as time:
        old = await sessions.create_session("u", "w")
        assert await sessions.extend_session(old, LIFETIME)
        await sessions.revoke_sessions("u")
        await time.advance(LIFETIME - 100)
        new = await sessions.create_session("u", "w")
        assert await sessions.extend_session(new, LIFETIME)
        for _ in range(4):
            assert await sessions.get_session(old) is None
            assert await sessions.get_session(new)
            await time.advance(LIFETIME / 4)
        assert await sessions.get_session(new) is None
        await time.advance(2 * LIFETIME)
        assert await client.execute("DBSIZE") == 0


async def test_revoking_again_after_a_lost_answer_does_no_harm(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")
    with faults("answer lost"), pytest.raises(OutcomeUnknown):
        await sessions.revoke_sessions("u")
    assert await sessions.get_session(session_id) is None
    await sessions.revoke_sessions("u")
    assert await sessions.get_session(session_id) is None


async def test_the_list_is_exact(sessions: SessionService, client: RedisClient, count: Count) -> None:
    with Timeline(client) as time:
        idle, ended, used, renamed = [await sessions.create_session("u", "w") for _ in range(4)]
        await sessions.update_session(used, {"current_agent": "muse"})
        await time.advance(IDLE - 50)
        assert await sessions.get_session(used)
        new = await sessions.rotate_session(renamed)
        await sessions.delete_session(ended)
        await time.advance(10)
        assert new
        assert await sessions.get_session(new)
        await time.advance(100)
        assert await sessions.get_session(idle) is None
        async with count() as spent:
            listed = await sessions.list_sessions("u")
        assert spent.commands == 4
        assert [info.handle for info in listed] == [keys.session(name)[-64:] for name in (new, used)]
        assert listed[1].current_agent == "muse"
        async with count() as spent:
            assert await sessions.list_sessions("u") == listed
        assert spent.commands == 3
        assert await sessions.list_sessions("nobody") == []
    place = place_of(used)
    assert place
    assert await client.execute("ZCARD", place.index) == 2


async def test_one_of_the_list_is_ended_by_its_handle(sessions: SessionService, count: Count) -> None:
    session_id, kept = [await sessions.create_session("u", "w") for _ in range(2)]
    handle = keys.session(session_id)[-64:]
    assert not await sessions.end_session("another", handle), "only by its user"
    assert await sessions.get_session(session_id)
    async with count() as spent:
        assert await sessions.end_session("u", handle)
    assert (spent.commands, spent.round_trips) == (3, 2)
    assert await sessions.get_session(session_id) is None
    assert await sessions.get_session(kept)
    assert not await sessions.end_session("u", handle)
    assert await sessions.get_session(handle) is None, "a handle is no id"


@pytest.mark.parametrize("handle", ["", "x" * 64, "0" * 63, "u:" + "0" * 62, None, b"0" * 64])
async def test_what_is_no_handle_is_refused(sessions: SessionService, handle: Any) -> None:
    with pytest.raises(InvalidKey, match="pass one that list_sessions answered"):
        await sessions.end_session("u", handle)


@pytest.mark.parametrize("user_id", ["", None, 7, "x" * 201])
async def test_what_is_no_user_is_refused(sessions: SessionService, user_id: Any) -> None:
    for call in (sessions.revoke_sessions, sessions.list_sessions):
        with pytest.raises(InvalidValue, match="user_id must be text"):
            await call(user_id)


async def test_rotation_gives_another_id_and_the_same_ends(
    sessions: SessionService, client: RedisClient, count: Count
) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w", {"a": 1})
        await sessions.update_session(session_id, {"messages": ["hello"]})
        before = await sessions.get_session(session_id)
        await time.advance(100)
        async with count() as spent:
            new_id = await sessions.rotate_session(session_id)
        assert (spent.commands, spent.round_trips) == (6, 1)
        assert new_id
        assert new_id != session_id
        after = await sessions.get_session(new_id)
        assert before
        assert after
        assert (after.messages, after.context, after.created_at) == (["hello"], {"a": 1}, before.created_at)
        assert after.expires_at == before.expires_at
        assert IDLE - 102 < await client.ttl(keys.session(new_id)) <= IDLE - 100
        assert await sessions.get_session(session_id) is None
        assert await sessions.rotate_session(session_id) is None
        assert not await keys_without_end(client)
        await time.advance(SessionService.ROTATED_SECONDS)
        assert not await client.exists(keys.session(session_id))


async def test_of_two_who_rotate_one_gets_the_new_id(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")
    ids = await asyncio.gather(*(sessions.rotate_session(session_id) for _ in range(10)))
    (new_id,) = [each for each in ids if each]
    assert await sessions.get_session(new_id)
    assert len(await sessions.list_sessions("u")) == 1


async def test_what_the_client_repeats_after_a_lost_connection_is_done_once(
    sessions: SessionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Batcher.submit

    async def twice(batcher: Batcher, *arguments: Any, **options: Any) -> list[Any]:
        if options["idempotent"]:
            await submit(batcher, *arguments, **options)
        return await submit(batcher, *arguments, **options)

    monkeypatch.setattr(Batcher, "submit", twice)
    session_id = await sessions.create_session("u", "w")
    new_id = await sessions.rotate_session(session_id)
    assert new_id
    assert await sessions.get_session(new_id)
    assert await sessions.get_session(session_id) is None
    assert len(await sessions.list_sessions("u")) == 1


async def test_an_index_that_was_lost_is_made_again_with_an_end(sessions: SessionService, client: RedisClient) -> None:
    session_id = await sessions.create_session("u", "w")
    _, index = epoch_and_index_of("u")
    await client.delete(index)
    assert await sessions.rotate_session(session_id)
    assert len(await sessions.list_sessions("u")) == 1
    assert not await keys_without_end(client)


async def test_one_too_many_ends_what_was_not_used_for_longest(sessions: SessionService, client: RedisClient) -> None:
    most = SessionService.MAX_SESSIONS
    _, index = epoch_and_index_of("u")
    with Timeline(client) as time:
        ids = []
        for _ in range(most):
            ids.append(await sessions.create_session("u", "w"))
            await time.advance(10)
        assert await sessions.get_session(ids[0])
        ids.append(await sessions.create_session("u", "w"))
        assert await client.execute("ZCARD", index) == most
        living = [bool(await sessions.get_session(session_id)) for session_id in ids]
        assert living == [True, False, *[True] * (most - 1)]


async def test_what_has_ended_counts_for_nothing(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        kept = await sessions.create_session("u", "w")
        for _ in range(2 * SessionService.MAX_SESSIONS):
            await sessions.create_session("u", "w")
            await time.advance(600)
            assert await sessions.get_session(kept)


async def test_many_sign_in_at_once(sessions: SessionService, client: RedisClient) -> None:
    _, index = epoch_and_index_of("u")
    ids = await asyncio.gather(*(sessions.create_session("u", "w") for _ in range(SessionService.MAX_SESSIONS + 20)))
    await sessions.create_session("u", "w")
    assert await client.execute("ZCARD", index) == len(await sessions.list_sessions("u")) == SessionService.MAX_SESSIONS
    living = [session_id for session_id in ids if await sessions.get_session(session_id)]
    assert len(living) == SessionService.MAX_SESSIONS - 1
