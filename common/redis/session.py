"""Sessions (R5): who is signed in, and what he is doing; gone when idle, and gone at the latest after a day.

    read    one MGET of the session and its user's epoch; every tenth of the idle time it also tells the session so
    change  one script: the fields that are given, on the condition that the session lives, and is the one that was seen
    end     `delete_session`, or a new epoch for all of a user's at once

A session that has ended stays ended, whatever is on its way:

    request A   get_session ── works ──────────────── update_session: None, nothing is written
    request B            delete_session (or revoke, or rotate) ──┘

Ids lie in Redis as hashes only, so a dump signs nobody in.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from common import ids
from common.errors import Unavailable
from common.redis import session_index
from common.redis.client import redis_client
from common.redis.compare import set_if_equal
from common.redis.config import RedisConfig
from common.redis.errors import InvalidKey, InvalidValue, SessionConflict
from common.redis.lua.session import CREATE_SESSION, ROTATE_SESSION, UPDATE_SESSION
from common.redis.session_ids import epoch_and_index_of, new_session_id, place_of, renewed
from common.redis.session_models import changes, checked_id
from common.redis.session_record import Record, now_ms, slack
from common.redis.values import milliseconds, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.redis.session_ids import Place
    from common.redis.session_models import SessionData, SessionInfo

_HANDLE = re.compile(r"[0-9a-f]{64}")


class SessionService:
    """Sessions of all users.

    Attributes:
        KEY_PREFIX: of their keys, below ours.
        DEFAULT_TTL: seconds without use after which one ends.
        MAX_LIFETIME: seconds after which one ends, used or not.
        MAX_SESSIONS: of one user; one more ends the one that was not used for longest.
        ROTATED_SECONDS: that an old id is remembered as such, so that a repeated `rotate_session` does no harm.

    Example:
        >>> sessions = SessionService()
        >>> session_id = await sessions.create_session(user_id, workspace_id, {"locale": "en-IN"})
        >>> (await sessions.get_session(session_id)).context
        {'locale': 'en-IN'}
    """

    KEY_PREFIX: ClassVar[str] = "session:"
    DEFAULT_TTL: ClassVar[int] = 1800
    MAX_LIFETIME: ClassVar[int] = 86_400
    MAX_SESSIONS: ClassVar[int] = 50
    ROTATED_SECONDS: ClassVar[int] = 30

    def __init__(self) -> None:
        self._idle = milliseconds(self.DEFAULT_TTL)
        self._lifetime = milliseconds(self.MAX_LIFETIME)
        # A session may be told for a moment longer that it lives, by who read it just before its epoch was replaced.
        self._epoch_lifetime = self._lifetime + milliseconds(3600)

    async def create_session(self, user_id: str, workspace_id: str, metadata: dict[str, Any] | None = None) -> str:
        """Begin a session; its id, which is a credential (X = 6; 7 while an epoch is remembered).

        Args:
            user_id: whose.
            workspace_id: in which; a session never changes to another.
            metadata: what its ``context`` begins with.

        Raises:
            InvalidValue: an id is none, or the metadata cannot be stored.
            Unavailable: Redis did not answer; if it was made after all, nobody knows its id and it ends by itself.
        """
        session_id, place = new_session_id(user_id)
        _, _, context = changes({"context": {} if metadata is None else metadata})
        who = to_json([user_id, checked_id(workspace_id, "workspace_id")], "a session's user and workspace")
        now = now_ms()
        made = Record(1, "", now, now, now + self._idle, now + self._lifetime, who, "null", "[]", context)
        count = await redis_client().run(
            CREATE_SESSION,
            [place.session, place.epoch, place.index],
            [made.lasting, self._idle, made.absolute, self._lifetime, self._epoch_lifetime],
            idempotent=True,
        )
        if count > self.MAX_SESSIONS:
            await session_index.make_room(place, self.MAX_SESSIONS)
        return session_id

    async def get_session(self, session_id: str) -> SessionData | None:
        """The session, alive for `DEFAULT_TTL` from now on; None if there is none (X = 1).

        At most every tenth of that time it is told so (X + 1, + 3 where the server knows no ``SET … IFEQ``).

        Raises:
            InvalidKey: the id is empty or no text.
            Unavailable: Redis did not answer.
        """
        place = place_of(session_id)
        if place is None:
            return None
        client = redis_client()
        text, epoch = await client.execute("MGET", place.session, place.epoch, idempotent=True)
        record, now = Record.valid(text, epoch), now_ms()
        if record is None or record.expires <= now:
            return None
        if abs(now - record.touched) >= slack(self._idle):
            used = record.used(now, self._idle)
            life = min(used.expires - now, self._lifetime)
            with suppress(Unavailable):  # it was read, and the next to read it will tell it
                if await set_if_equal(client, place.session, text, used.text, life):
                    record = used
        return record.data(session_id)

    async def update_session(
        self,
        session_id: str,
        updates: Mapping[str, Any],
        *,
        seen: SessionData | None = None,
        merge: Callable[[SessionData], Mapping[str, Any]] | None = None,
    ) -> SessionData | None:
        """Set fields, and leave the others as they are; the session then, or None if there is none (X = 3).

        Args:
            session_id: which.
            updates: ``current_agent``, ``messages``, ``context``: each as a whole. The newest messages are kept.
            seen: the session that ``updates`` were made from: if it was changed since, nothing is written.
            merge: makes the updates from the session as it is then, for a second try (X = 5 in all).

        Raises:
            SessionConflict: it is not as it was ``seen``, and there is no ``merge``, or not even that was fast enough.
            InvalidValue: a field does not exist or cannot be stored so; nothing was written.
            InvalidKey: the id is empty or no text.
            OutcomeUnknown: it may be written or not: read it again.
            Unavailable: nothing was written.

        Example:
            >>> def add(session: SessionData) -> dict[str, Any]:
            ...     return {"messages": [*session.messages, message]}
            >>> await sessions.update_session(session_id, add(session), seen=session, merge=add)
        """
        place = place_of(session_id)
        if seen is None and merge is not None:
            raise InvalidValue("merge is for what was seen: pass the session that the updates were made from as seen")
        if seen is not None and seen.session_id != session_id:
            raise InvalidValue("seen is another session: pass what get_session answered for this id")
        lines = changes(updates)
        if place is None:
            return None
        written, record = await self._update(place, lines, "" if seen is None else seen.version)
        if record is not None and not written and merge is not None:
            lines = changes(merge(record.data(session_id)))
            written, record = await self._update(place, lines, record.version)
        if record is None:
            return None
        if not written:
            raise SessionConflict("the session was changed meanwhile: read it again, or pass merge")
        return record.data(session_id)

    async def extend_session(self, session_id: str, seconds: float) -> bool:
        """Let it live for at least so many seconds from now, up to its latest end; False if there is none (X = 3).

        Raises:
            InvalidTTL: ``seconds`` is not positive and finite.
            InvalidKey: the id is empty or no text.
            Unavailable: Redis did not answer.
        """
        wanted = milliseconds(seconds, "an extension")
        place = place_of(session_id)
        if place is None:
            return False
        _, record = await self._update(place, ("", "", ""), "", wanted)
        return record is not None

    async def delete_session(self, session_id: str) -> bool:
        """End it; False if nothing was stored under this id (X = 2).

        Raises:
            InvalidKey: the id is empty or no text.
            Unavailable: Redis did not answer; once more does no harm.
        """
        place = place_of(session_id)
        return place is not None and await session_index.end(place.index, [place.session]) > 0

    async def rotate_session(self, session_id: str) -> str | None:
        """Give it a new id and end the old one; None if there is none (X = 6).

        For the moment when somebody gains rights: who knew the id before then knows nothing. Its ends stay as they are.

        Raises:
            InvalidKey: the id is empty or no text.
            Unavailable: Redis did not answer; if it was done after all, nobody knows the new id.
        """
        place = place_of(session_id)
        if place is None:
            return None
        new_id, new_place = renewed(session_id)
        rotated = await redis_client().run(
            ROTATE_SESSION,
            [place.session, new_place.session, place.epoch, place.index],
            [now_ms(), self._lifetime, milliseconds(self.ROTATED_SECONDS)],
            idempotent=True,
        )
        return new_id if rotated else None

    async def revoke_sessions(self, user_id: str) -> None:
        """End all of a user's sessions at once, those too that are being begun elsewhere (X = 1).

        His sessions carry the epoch in which they began; this begins another. It outlives every session of the last.

        Raises:
            InvalidValue: ``user_id`` is none.
            Unavailable: Redis did not answer; once more does no harm.
        """
        epoch, _ = epoch_and_index_of(user_id)
        await redis_client().execute("SET", epoch, ids.new_id(), "PX", self._epoch_lifetime)

    async def list_sessions(self, user_id: str) -> list[SessionInfo]:
        """A user's living sessions, the one used last first (X = 2 and 1 for every ten; 1 more if some have ended).

        Raises:
            InvalidValue: ``user_id`` is none.
            Unavailable: Redis did not answer.
        """
        epoch, index = epoch_and_index_of(user_id)
        found = await session_index.living(epoch, index)
        infos = [record.info(key.rpartition(":")[2]) for key, record in found.items()]
        return sorted(infos, key=lambda info: info.last_active_at, reverse=True)

    async def end_session(self, user_id: str, handle: str) -> bool:
        """End one that `list_sessions` shows; False if he has none of this handle (X = 3).

        Raises:
            InvalidKey: ``handle`` is none.
            InvalidValue: ``user_id`` is none.
            Unavailable: Redis did not answer; once more does no harm.
        """
        _, index = epoch_and_index_of(user_id)
        if not _HANDLE.fullmatch(str(handle)):
            raise InvalidKey("a session's handle has 64 hexadecimal digits: pass one that list_sessions answered")
        key = f"{RedisConfig.KEY_PREFIX}{self.KEY_PREFIX}{handle}"
        if await redis_client().execute("ZSCORE", index, key, idempotent=True) is None:
            return False  # not his
        return await session_index.end(index, [key]) > 0

    async def _update(
        self, place: Place, lines: tuple[str, str, str], version: int | str, wanted: int | None = None
    ) -> tuple[bool, Record | None]:
        """Whether it was written, and the session as it is then; none where none lives."""
        arguments = [now_ms(), wanted or self._idle, slack(self._idle), self._lifetime, version, *lines]
        answer = await redis_client().run(UPDATE_SESSION, [place.session, place.epoch], arguments)
        return (bool(answer[0]), Record.parse(answer[1])) if answer else (False, None)
