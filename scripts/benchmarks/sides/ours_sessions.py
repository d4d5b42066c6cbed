"""Ours: `SessionService`, a session for each task."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from common.lifecycle import aclose_all
from common.redis.session import SessionService
from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from common.redis.session_models import SessionData
    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(_url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Reads, and changes of what was read."""
    sessions = SessionService()
    seen: list[SessionData | None] = []

    async def begin(number: int) -> None:
        seen.append(await sessions.get_session(await sessions.create_session(f"user{number}", "w")))

    def one(number: int) -> SessionData:
        session = seen[number % len(seen)]
        if session is None:
            raise RuntimeError("it has ended")
        return session

    async def read(number: int) -> None:
        if await sessions.get_session(one(number).session_id) is None:
            raise RuntimeError("it has ended")

    async def update(number: int) -> None:
        session = one(number)
        updated = await sessions.update_session(session.session_id, {"current_agent": "muse"}, seen=session)
        seen[number % len(seen)] = updated

    yield {"begin": each(begin), "read": each(read), "update": each(update)}
    await aclose_all()


if __name__ == "__main__":
    serve(prepare)
