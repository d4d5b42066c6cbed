"""How a session lies in Redis: five lines of text, of which a script exchanges one without decoding any.

    1 <version> <epoch> <created> <touched> <expires> <absolute>     times in ms; the epoch of its user, "-" for none
    ["user","workspace"]
    "agent"
    [messages]
    {context}

JSON has no raw line ends. Where a session was renamed, ``rotated <new key>`` lies for a few seconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from common import clock
from common.redis.errors import WrongType
from common.redis.session_models import SessionData, SessionInfo

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = re.compile(r"1 (\d+) (\S+) (\d+) (\d+) (\d+) (\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Record:
    """A session as it is stored: times in milliseconds since 1970, the rest as JSON.

    Attributes:
        version: grows with each change of agent, messages or context.
        epoch: of its user when it was made.
        created: when that was.
        touched: when it was last used, to a tenth of its idle time.
        expires: when it ends if nobody uses it.
        absolute: when it ends at the latest.
    """

    version: int
    epoch: str
    created: int
    touched: int
    expires: int
    absolute: int
    who: str
    agent: str
    messages: str
    context: str

    @classmethod
    def parse(cls, text: str | None) -> Record | None:
        """The session in a text; None where there is none, or only what a renamed one has left.

        Raises:
            WrongType: it was not written by this code.
        """
        if text is None or text.startswith("rotated "):
            return None
        head, *lines = text.split("\n")
        match = _HEAD.fullmatch(head)
        if match is None or len(lines) != 4:
            raise WrongType("what lies under a session's key is no session: something else wrote it, delete it")
        version, epoch, created, touched, expires, absolute = match.groups()
        return cls(int(version), epoch, int(created), int(touched), int(expires), int(absolute), *lines)

    @classmethod
    def valid(cls, text: str | None, epoch: str | None) -> Record | None:
        """The session in a text, unless its user's epoch is another than when it was made.

        Raises:
            WrongType: it was not written by this code.
        """
        record = cls.parse(text)
        return record if record is not None and record.epoch == (epoch or "-") else None

    @property
    def text(self) -> str:
        """What `parse` reads."""
        return f"1 {self.version} {self.epoch} {self.lasting}"

    @property
    def lasting(self) -> str:
        """The text after the epoch."""
        times = f"{self.created} {self.touched} {self.expires} {self.absolute}"
        return f"{times}\n{self.who}\n{self.agent}\n{self.messages}\n{self.context}"

    def used(self, now: int, idle: int) -> Record:
        """The same, used ``now``: alive for ``idle`` milliseconds more, but never beyond its absolute end.

        A later end that it was given stays, unless by a clock that was ahead. The script of updates decides alike.
        """
        ends = min(now + idle, self.absolute)
        if self.expires > ends and self.touched - now < slack(idle):
            ends = self.expires
        return replace(self, touched=now, expires=ends)

    def data(self, session_id: str) -> SessionData:
        """For whoever knows its id."""
        user_id, workspace_id = json.loads(self.who)
        return SessionData(
            session_id=session_id,
            user_id=user_id,
            workspace_id=workspace_id,
            current_agent=json.loads(self.agent),
            messages=json.loads(self.messages),
            context=json.loads(self.context),
            created_at=instant(self.created),
            last_active_at=instant(self.touched),
            expires_at=instant(self.expires),
            version=self.version,
        )

    def info(self, handle: str) -> SessionInfo:
        """For whoever may know of it, and may not use it."""
        _, workspace_id = json.loads(self.who)
        return SessionInfo(
            handle=handle,
            workspace_id=workspace_id,
            current_agent=json.loads(self.agent),
            created_at=instant(self.created),
            last_active_at=instant(self.touched),
            expires_at=instant(self.expires),
        )


def slack(idle: int) -> int:
    """Milliseconds that a session may be used without being told so, and that two clocks may differ by."""
    return idle // 10


def now_ms() -> int:
    """The clock, in milliseconds since 1970."""
    return (clock.now() - _UNIX) // timedelta(milliseconds=1)


def instant(milliseconds: int) -> datetime:
    """The same as a time."""
    return _UNIX + timedelta(milliseconds=milliseconds)
