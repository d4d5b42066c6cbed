"""Sessions (R6) as callers see them, and what may be put into one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.redis.errors import InvalidValue
from common.redis.values import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ID_CHARACTERS = 200
"""Of a user's or workspace's id, and of an agent's name."""

MAX_MESSAGES = 100
MAX_MESSAGES_BYTES = 200_000
MAX_CONTEXT_BYTES = 50_000


@dataclass(frozen=True, slots=True)
class SessionData:
    """A session as it was when it was read: a copy, which `SessionService.update_session` changes in Redis.

    Attributes:
        session_id: a credential: whoever has it is the user. It is not shown by ``repr``.
        current_agent: that the user talks to.
        messages: the newest, oldest first.
        context: what `create_session` was given as metadata, and what was put there since.
        last_active_at: when it was last used, to a tenth of its idle time.
        expires_at: when it ends if nobody uses it before.
        version: grows with each change; `update_session` compares it.
    """

    session_id: str = field(repr=False)
    user_id: str
    workspace_id: str
    current_agent: str | None
    messages: list[Any] = field(repr=False)
    context: dict[str, Any] = field(repr=False)
    created_at: datetime
    last_active_at: datetime
    expires_at: datetime
    version: int = 0

    def to_json(self) -> str:
        """All of it, the id too, as JSON that `from_json` reads.

        Raises:
            InvalidValue: something was put into ``messages`` or ``context`` that is not JSON.
        """
        times = {name: getattr(self, name).isoformat() for name in _TIMES}
        return to_json(asdict(self) | times, "a session")

    @classmethod
    def from_json(cls, text: str) -> SessionData:
        """The session that `to_json` wrote.

        Raises:
            InvalidValue: it is not; the message names the field.
        """
        try:
            given = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidValue(f"a session must be JSON ({error})") from None
        if not isinstance(given, dict):
            raise InvalidValue("a session must be a JSON object")
        return cls(**{each.name: _read(given, each.name) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as its user's list shows it: enough to know it again, not enough to use it.

    Attributes:
        handle: names it to `SessionService.end_session`; the hash of its id.
    """

    handle: str
    workspace_id: str
    current_agent: str | None
    created_at: datetime
    last_active_at: datetime
    expires_at: datetime


def checked_id(value: Any, what: str) -> str:
    """``value``, if it can name a user, a workspace or an agent.

    Raises:
        InvalidValue: it is empty, too long, or no text.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        raise InvalidValue(f"{what} must be text of 1 to {MAX_ID_CHARACTERS} characters")
    to_json(value, what)  # has no lone surrogates
    return value


def changes(updates: Any) -> tuple[str, str, str]:
    """Agent, messages and context as JSON, each empty where it stays.

    Of the messages the newest are kept, as many as there may be.

    Raises:
        InvalidValue: there is no such field, or it cannot be changed, or not stored so; the message says which can.
    """
    if not isinstance(updates, Mapping):
        raise InvalidValue(f"a session's updates must be an object, not {type(updates).__name__}")
    for name in updates:
        if name not in _CHANGEABLE:
            raise InvalidValue(f"a session has no field {name!r} to change: there are {', '.join(_CHANGEABLE)}")
    agent, messages, context = (write(updates[name]) if name in updates else "" for name, write in _CHANGEABLE.items())
    return agent, messages, context


def _agent(value: Any) -> str:
    return to_json(None if value is None else checked_id(value, "current_agent"), "current_agent")


def _messages(value: Any) -> str:
    if type(value) is not list:
        raise InvalidValue(f"a session's messages must be a list, not {type(value).__name__}")
    kept: list[str] = []
    size = len("[]")
    for message in reversed(value[-MAX_MESSAGES:]):
        text = to_json(message, "a session's message", limit=MAX_MESSAGES_BYTES - len("[]"))
        size += len(text.encode()) + bool(kept)  # and a comma
        if size > MAX_MESSAGES_BYTES:
            break
        kept.append(text)
    return f"[{','.join(reversed(kept))}]"


def _context(value: Any) -> str:
    if type(value) is not dict:
        raise InvalidValue(f"a session's context must be an object, not {type(value).__name__}")
    return to_json(value, "a session's context", limit=MAX_CONTEXT_BYTES)


_CHANGEABLE: dict[str, Callable[[Any], str]] = {"current_agent": _agent, "messages": _messages, "context": _context}
_TIMES = ("created_at", "last_active_at", "expires_at")
_TYPES: dict[str, tuple[type, ...]] = {
    "current_agent": (str, type(None)),
    "messages": (list,),
    "context": (dict,),
    "version": (int,),
}


def _read(given: dict[str, Any], name: str) -> Any:
    """A field of a session in JSON."""
    value = given.get(name)
    types = _TYPES.get(name, (str,))
    if name not in given or type(value) not in types:
        raise InvalidValue(f"a session's {name} must be {' or '.join(kind.__name__ for kind in types)}")
    return _instant(str(value), name) if name in _TIMES else value


def _instant(text: str, name: str) -> datetime:
    with suppress(ValueError):
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant
    raise InvalidValue(f"a session's {name} must be an instant with its time zone, as 2026-11-25T06:30:00+00:00")
