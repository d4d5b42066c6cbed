"""What no session can be made of, and ids that nobody was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput
from common.redis import SessionService, keys
from common.redis.errors import InvalidKey, InvalidTTL, InvalidValue, WrongType

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count


@pytest.fixture
def sessions(client: RedisClient) -> SessionService:
    return SessionService()


@pytest.mark.parametrize("session_id", ["", None, 7, b"x"])
async def test_what_is_no_text_is_refused(sessions: SessionService, session_id: Any) -> None:
    for call in (sessions.get_session, sessions.delete_session, sessions.rotate_session):
        with pytest.raises(InvalidKey, match="pass what create_session answered"):
            await call(session_id)
    with pytest.raises(InvalidKey):
        await sessions.update_session(session_id, {})
    with pytest.raises(InvalidKey):
        await sessions.extend_session(session_id, 60)


@pytest.mark.parametrize("forged", ["x", "\ud800", "x" * 10**6, "{}\n", "{}x", "x{}", "é{}", "_{}", "*"])
async def test_what_nobody_was_given_is_no_session(
    sessions: SessionService, client: RedisClient, count: Count, forged: str
) -> None:
    session_id = await sessions.create_session("u", "w")
    text = forged.format(session_id[1:] if forged == "_{}" else session_id)
    async with count() as spent:
        assert await sessions.get_session(text) is None
        assert await sessions.update_session(text, {"context": {}}) is None
        assert await sessions.rotate_session(text) is None
        assert not await sessions.extend_session(text, 60)
        assert not await sessions.delete_session(text)
    assert spent.commands == 0 or forged == "_{}"
    assert await sessions.get_session(session_id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "w"), "user_id must be text of 1 to 200"),
        (("u" * 201, "w"), "user_id must be text of 1 to 200"),
        (("u", 7), "workspace_id must be text"),
        (("\ud800", "w"), "user_id must be JSON"),
        (("u", "w", ["a"]), "context must be an object, not list"),
        (("u", "w", {"a": float("nan")}), "context must be JSON"),
        (("u", "w", {"a": "x" * 50_000}), "at most 50000 bytes"),
    ],
)
async def test_what_cannot_be_a_session_is_refused(
    sessions: SessionService, client: RedisClient, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message) as refused:
        await sessions.create_session(*arguments)
    assert isinstance(refused.value, InvalidInput)
    assert await client.execute("DBSIZE") == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "60", True])
async def test_what_is_no_time_is_refused(sessions: SessionService, seconds: Any) -> None:
    session_id = await sessions.create_session("u", "w")
    with pytest.raises(InvalidTTL, match="an extension must be"):
        await sessions.extend_session(session_id, seconds)


@pytest.mark.parametrize(
    "text", ["", "x", "1 2 3", "1 a - 1 1 1 1\n[]\nnull\n[]\n{}", "2 1 - 1 1 1 1\n[]\nnull\n[]\n{}"]
)
async def test_what_something_else_wrote_is_no_session(
    sessions: SessionService, client: RedisClient, text: str
) -> None:
    session_id = await sessions.create_session("u", "w")
    await client.set(keys.session(session_id), text)
    with pytest.raises(WrongType, match="something else wrote it"):
        await sessions.get_session(session_id)
    assert await sessions.update_session(session_id, {"context": {}}) is None
    assert await client.get(keys.session(session_id)) == text
    assert await sessions.delete_session(session_id)
