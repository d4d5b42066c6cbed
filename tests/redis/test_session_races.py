"""Requests at the same time on one session: nothing is lost without being told, nothing ended comes back."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from common.redis import SessionService
from common.redis.batching import Batcher
from common.redis.errors import SessionConflict
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from common.redis.client import RedisClient
    from common.redis.session_models import SessionData


@pytest.fixture
def sessions(client: RedisClient) -> SessionService:
    return SessionService()


@contextmanager
def before_request(number: int, other: Callable[[], Awaitable[object]]) -> Iterator[None]:
    """Let ``other`` happen just before the request of this number, from 0."""
    seen = iter(range(1000))
    submit = Batcher.submit

    async def submitted(batcher: Batcher, *arguments: Any, **options: Any) -> list[Any]:
        if next(seen) == number:
            with patch.object(Batcher, "submit", submit):
                await other()
        return await submit(batcher, *arguments, **options)

    with patch.object(Batcher, "submit", submitted):
        yield


def adding(message: str) -> Callable[[SessionData], dict[str, Any]]:
    return lambda session: {"messages": [*session.messages, message]}


USES: dict[str, Callable[[SessionService, str, SessionData], Awaitable[object]]] = {
    "update": lambda sessions, session_id, _: sessions.update_session(session_id, {"current_agent": "late"}),
    "update what was seen": lambda sessions, session_id, seen: sessions.update_session(session_id, {}, seen=seen),
    "extend": lambda sessions, session_id, _: sessions.extend_session(session_id, 3600),
    "rotate": lambda sessions, session_id, _: sessions.rotate_session(session_id),
    "read": lambda sessions, session_id, _: sessions.get_session(session_id),
    "read, and told so": lambda sessions, session_id, _: sessions.get_session(session_id),
}
ENDS: dict[str, Callable[[SessionService, str], Awaitable[object]]] = {
    "delete": lambda sessions, session_id: sessions.delete_session(session_id),
    "rotate": lambda sessions, session_id: sessions.rotate_session(session_id),
    "revoke": lambda sessions, _: sessions.revoke_sessions("u"),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("end", ENDS)
async def test_nothing_on_its_way_brings_back_what_has_ended(
    sessions: SessionService, client: RedisClient, use: str, end: str
) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        seen = await sessions.get_session(session_id)
        assert seen
        await time.advance(200)
        was_read = use == "read, and told so"
        with before_request(1 if was_read else 0, lambda: ENDS[end](sessions, session_id)):
            assert bool(await USES[use](sessions, session_id, seen)) == was_read
        assert await sessions.get_session(session_id) is None
        assert await sessions.update_session(session_id, {"current_agent": "later"}) is None
        assert not await sessions.extend_session(session_id, 60)
        assert await sessions.rotate_session(session_id) is None


async def test_many_who_add_at_once_add_all(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")

    async def add(message: str) -> None:
        while True:
            session = await sessions.get_session(session_id)
            assert session
            try:
                await sessions.update_session(session_id, adding(message)(session), seen=session, merge=adding(message))
            except SessionConflict:
                continue
            return

    await asyncio.gather(*(add(str(number)) for number in range(20)))
    session = await sessions.get_session(session_id)
    assert session
    assert sorted(session.messages, key=int) == [str(number) for number in range(20)]


async def test_a_read_does_not_undo_a_change(sessions: SessionService, client: RedisClient) -> None:
    with Timeline(client) as time:
        session_id = await sessions.create_session("u", "w")
        await time.advance(200)
        with before_request(1, lambda: sessions.update_session(session_id, {"messages": ["theirs"]})):
            assert await sessions.get_session(session_id)
        session = await sessions.get_session(session_id)
        assert session
        assert session.messages == ["theirs"]


async def test_a_merge_is_tried_once(sessions: SessionService) -> None:
    session_id = await sessions.create_session("u", "w")
    seen = await sessions.get_session(session_id)
    assert seen
    await sessions.update_session(session_id, {"messages": ["theirs"]})
    with (
        before_request(1, lambda: sessions.update_session(session_id, {"messages": ["again"]})),
        pytest.raises(SessionConflict),
    ):
        await sessions.update_session(session_id, {}, seen=seen, merge=adding("ours"))
