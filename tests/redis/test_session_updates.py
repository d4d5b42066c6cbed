"""Changes of sessions: none is lost without being told, none brings back what has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.redis import SessionService, keys
from common.redis.errors import InvalidValue, OutcomeUnknown, SessionConflict
from tests.redis.faults import faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.redis.client import RedisClient
    from common.redis.session_models import SessionData
    from tests.redis.counting import Count

IDLE = SessionService.DEFAULT_TTL


@pytest.fixture
def sessions(client: RedisClient) -> SessionService:
    return SessionService()


def adding(message: str) -> Callable[[SessionData], dict[str, Any]]:
    return lambda session: {"messages": [*session.messages, message]}


async def test_fields_are_set_and_the_others_left(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w", {"a": {"b": []}, "": 2**60, "₹": 0.1})
    first = await sessions.update_session(session_id, {"messages": [{"text": 'line\nend "|" \u2028'}]})
    second = await sessions.update_session(session_id, {"current_agent": "muse"})
    assert first
    assert second
    assert second == await sessions.get_session(session_id)
    assert second.messages == first.messages == [{"text": 'line\nend "|" \u2028'}]
    assert second.context == {"a": {"b": []}, "": 2**60, "₹": 0.1}
    assert second.version > first.version
    third = await sessions.update_session(session_id, {"current_agent": None, "messages": [], "context": {}})
    assert third
    assert (third.current_agent, third.messages, third.context) == (None, [], {})


async def test_a_change_keeps_it_alive(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        for _ in range(3):
            await time.advance(IDLE - 50)
            assert await sessions.update_session(session_id, {"current_agent": "muse"})
        assert IDLE - 2 < await client.ttl(keys.session(session_id)) <= IDLE


async def test_what_was_changed_meanwhile_is_not_overwritten(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")
    seen = await sessions.get_session(session_id)
    assert seen
    await sessions.update_session(session_id, adding("theirs")(seen), seen=seen)
    with pytest.raises(SessionConflict, match="read it again, or pass merge"):
        await sessions.update_session(session_id, adding("ours")(seen), seen=seen)
    session = await sessions.get_session(session_id)
    assert session
    assert session.messages == ["theirs"]


async def test_a_merge_is_made_from_what_is_there(sessions: SessionService, count: Count) -> None:
    session_id = await sessions.create_session("u", "w")
    seen = await sessions.get_session(session_id)
    assert seen
    await sessions.update_session(session_id, {"messages": ["theirs"]})
    async with count() as spent:
        session = await sessions.update_session(session_id, adding("ours")(seen), seen=seen, merge=adding("ours"))
    assert session
    assert session.messages == ["theirs", "ours"]
    assert (spent.commands, spent.round_trips) == (5, 2), spent


async def test_being_read_or_extended_is_no_change(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        seen = await sessions.get_session(session_id)
        await time.advance(1000)
        await sessions.get_session(session_id)
        await sessions.extend_session(session_id, 3000)
        assert await sessions.update_session(session_id, {"current_agent": "muse"}, seen=seen)


async def test_a_lost_answer_is_told(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")
    with faults("answer lost"), pytest.raises(OutcomeUnknown):
        await sessions.update_session(session_id, {"current_agent": "muse"})
    session = await sessions.get_session(session_id)
    assert session
    assert session.current_agent == "muse"


async def test_the_newest_messages_are_kept(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")
    session = await sessions.update_session(session_id, {"messages": list(range(150))})
    assert session
    assert session.messages == list(range(50, 150))
    large = [f"{number}{'€' * 9_000}" for number in range(20)]
    session = await sessions.update_session(session_id, {"messages": large})
    assert session
    assert session.messages == large[-7:]


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"messages": "hello"}, "messages must be a list, not str"),
        ({"messages": ("a",)}, "messages must be a list, not tuple"),
        ({"messages": [object()]}, "message must be JSON"),
        ({"messages": ["x" * 200_000]}, "message may have at most 199998 bytes"),
        ({"context": []}, "context must be an object, not list"),
        ({"context": {1: 2}}, "context must be JSON"),
        ({"current_agent": ""}, "current_agent must be text"),
        ({"current_agent": 7}, "current_agent must be text"),
        ({"user_id": "other"}, "no field 'user_id' to change: there are current_agent, messages, context"),
        ({"current_agent": "muse", "expires_at": 0}, "no field 'expires_at'"),
        ({7: 7}, "no field 7"),
        (None, "updates must be an object, not NoneType"),
        (["messages"], "updates must be an object, not list"),
    ],
)
async def test_what_cannot_be_stored_is_refused_as_a_whole(
    sessions: SessionService, updates: Any, message: str
) -> None:
    session_id = await sessions.create_session("u", "w")
    before = await sessions.get_session(session_id)
    with pytest.raises(InvalidValue, match=message):
        await sessions.update_session(session_id, updates)
    assert await sessions.get_session(session_id) == before


async def test_what_was_seen_belongs_to_the_session(sessions: SessionService) -> None:
    session_id, other_id = [await sessions.create_session("u", "w") for _ in range(2)]
    seen = await sessions.get_session(other_id)
    with pytest.raises(InvalidValue, match="seen is another session"):
        await sessions.update_session(session_id, {}, seen=seen)
    with pytest.raises(InvalidValue, match="pass the session that the updates were made from as seen"):
        await sessions.update_session(session_id, {}, merge=adding("x"))
