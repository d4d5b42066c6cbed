from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from common.lifecycle import aclose_all
from tests.database.fixtures import server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["server"]


@pytest.fixture(scope="session")
def notes_database(server: str) -> str:
    """A database with one table, ``notes``; its URL."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("create database notes")
    with psycopg.connect(f"{server}/notes") as connection:
        connection.execute("create table notes (id int primary key, body text not null default '')")
    return f"{server}/notes"


@pytest.fixture
async def database(notes_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """That database, empty, with `common.database` pointed at it."""
    with psycopg.connect(notes_database, autocommit=True) as connection:
        connection.execute("truncate notes")
    monkeypatch.setenv("DATABASE_URL", notes_database)
    yield notes_database
    await aclose_all()


@pytest.fixture
def outside(database: str) -> Callable[[str], list[tuple[object, ...]]]:
    """Query the database over a connection of the test's own."""

    def query(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(database, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    return query
