"""``Flask-Session`` with Redis: one request of a view that reads its session."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from flask import Flask, session
from flask_session import Session
from redis import Redis

from scripts.benchmarks.sides.serve import each, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scripts.benchmarks.sides.serve import Operation


@asynccontextmanager
async def prepare(url: str) -> AsyncIterator[Mapping[str, Operation]]:
    """Requests of one visitor."""
    app = Flask("view")
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(url))
    Session(app)

    def view() -> str:
        session.setdefault("user_id", "u")
        return "ok"

    app.add_url_rule("/", view_func=view)
    visitor = app.test_client()
    visitor.get("/")

    async def read(_number: int) -> None:
        if visitor.get("/").status_code != 200:
            raise RuntimeError("the view failed")

    yield {"read": each(read)}


if __name__ == "__main__":
    serve(prepare)
