"""Sessions as they should be: what `test_session_model` compares the service with, step by step.

Nothing here knows how a session is stored. A session is alive until it is deleted, renamed, revoked, idle for too long
or too old; times are whole seconds since the start, on the server's clock and on ours, which may be ahead or behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.redis import SessionService
from common.redis.session_models import MAX_MESSAGES
from tests.redis.timeline import START

if TYPE_CHECKING:
    from common.redis.session_models import SessionData

IDLE = SessionService.DEFAULT_TTL
LIFETIME = 5000
"""Short, so that sessions reach it."""


@dataclass
class Expected:
    """A session.

    Attributes:
        gone_at: when the server lets it go, by its own clock.
        version: how often it was changed.
    """

    user: str
    created: int
    touched: int
    expires: int
    gone_at: int
    session_id: str | None = None
    ended: bool = False
    agent: str | None = None
    messages: list[Any] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)
    version: int = 1


@dataclass
class Model:
    """All sessions, and what time it is."""

    server: int = 0
    ahead: int = 0
    sessions: list[Expected] = field(default_factory=list)

    @property
    def now(self) -> int:
        """Our clock."""
        return self.server + self.ahead

    def begin(self, user: str, context: dict[str, Any]) -> Expected:
        made = Expected(user, self.now, self.now, self.now + IDLE, self.server + IDLE, context=context)
        self.sessions.append(made)
        return made

    def alive(self, session: Expected) -> bool:
        return not session.ended and self.server < session.gone_at and self.now < session.expires

    def due(self, session: Expected) -> bool:
        """Whether a read tells that it was used."""
        return abs(self.now - session.touched) >= IDLE / 10

    def use(self, session: Expected, seconds: int = IDLE) -> None:
        ends = min(self.now + seconds, session.created + LIFETIME)
        if session.touched - self.now < IDLE / 10:  # else its end was set by a clock that was ahead
            ends = max(ends, session.expires)
        session.touched, session.expires = self.now, ends
        session.gone_at = self.server + min(ends - self.now, LIFETIME)

    def change(self, session: Expected, updates: dict[str, Any]) -> None:
        self.use(session)
        if updates:
            session.version += 1
        session.agent = updates.get("current_agent", session.agent)
        session.messages = updates.get("messages", session.messages)[-MAX_MESSAGES:]
        session.context = updates.get("context", session.context)

    def rename(self, session: Expected, session_id: str | None) -> None:
        """The old id ends; the new one may be lost with the answer."""
        new = Expected(**{**vars(session), "session_id": session_id})
        new.gone_at = self.server + min(session.expires - self.now, LIFETIME)
        session.ended = True
        self.sessions.append(new)

    def revoke(self, user: str) -> None:
        for session in self.sessions:
            session.ended |= session.user == user

    def living(self, user: str) -> list[Expected]:
        return [session for session in self.sessions if session.user == user and self.alive(session)]

    def agrees(self, session: Expected, found: SessionData | None) -> bool:
        """Whether what was read is what should be there."""
        if found is None or not self.alive(session):
            return found is None and not self.alive(session)
        times = [
            int((instant - START).total_seconds())
            for instant in (found.created_at, found.last_active_at, found.expires_at)
        ]
        return times == [session.created, session.touched, session.expires] and (
            found.user_id,
            found.current_agent,
            found.messages,
            found.context,
            found.version,
        ) == (session.user, session.agent, session.messages, session.context, session.version)
