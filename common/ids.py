"""The only source of new identifiers: a test can make them predictable."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from uuid import UUID, uuid4  # noqa: TID251 - this is the source

if TYPE_CHECKING:
    from collections.abc import Iterator

_sequence: ContextVar[Iterator[UUID] | None] = ContextVar("id_sequence", default=None)


def new_id() -> str:
    """A new random identifier as uuid text (version 4, RFC 9562)."""
    sequence = _sequence.get()
    return str(next(sequence) if sequence else uuid4())


@contextmanager
def sequence(ids: Iterator[UUID]) -> Iterator[None]:
    """Hand out ``ids`` in order for everything called or started inside."""
    token = _sequence.set(ids)
    try:
        yield
    finally:
        _sequence.reset(token)
