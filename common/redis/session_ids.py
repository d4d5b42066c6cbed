"""A session's id, and where it lies: the id itself is written nowhere, its hash is.

    <route>.<secret>      16 characters that stand for the user, 43 that nobody can guess (256 random bits)

The route tells where the user's epoch and index are, so that a session and its user's epoch are read in one command.
The key hashes route and secret together, so nobody can put another route to a secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from common.redis import keys
from common.redis.errors import InvalidKey
from common.redis.session_models import checked_id

_SESSION_ID = re.compile(r"[\w-]{16}\.[\w-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """The keys of a session, of its user's epoch, and of his sessions' index."""

    session: str
    epoch: str
    index: str


def new_session_id(user_id: str) -> tuple[str, Place]:
    """An id that nobody can guess, and where its session will lie.

    Raises:
        InvalidValue: ``user_id`` is none.
    """
    return _new(_route(user_id))


def renewed(session_id: str) -> tuple[str, Place]:
    """Another id of the same user."""
    return _new(session_id.partition(".")[0])


def place_of(session_id: Any) -> Place | None:
    """Where a session would lie; None for a text that has not the form of an id: there is no such session.

    Raises:
        InvalidKey: it is empty, or no text: it was not taken from where it should have been.
    """
    if not isinstance(session_id, str) or not session_id:
        raise InvalidKey("a session's id must be text, and not empty: pass what create_session answered")
    return _place(session_id) if _SESSION_ID.fullmatch(session_id) else None


def epoch_and_index_of(user_id: str) -> tuple[str, str]:
    """The keys of a user's epoch and index.

    Raises:
        InvalidValue: ``user_id`` is none.
    """
    route = _route(user_id)
    return keys.session_epoch(route), keys.session_index(route)


def _route(user_id: str) -> str:
    digest = hashlib.sha256(checked_id(user_id, "user_id").encode()).digest()
    return urlsafe_b64encode(digest[:12]).decode()


def _new(route: str) -> tuple[str, Place]:
    session_id = f"{route}.{secrets.token_urlsafe(32)}"
    return session_id, _place(session_id)


def _place(session_id: str) -> Place:
    route, _, _ = session_id.partition(".")
    return Place(keys.session(session_id), keys.session_epoch(route), keys.session_index(route))
