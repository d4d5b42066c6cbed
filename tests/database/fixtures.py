"""Databases for tests; a ``conftest.py`` imports what its folder uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from common import ids
from tests.database.server import postgres
from tools.local.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a superuser, without a database."""
    with postgres() as url:
        yield url


@pytest.fixture
def new_database(server: str) -> Iterator[Callable[[], str]]:
    """Create an empty database; its URL."""
    names: list[str] = []

    def create() -> str:
        names.append(f"test_{ids.new_id()[:8]}")
        _administer(server, sql.SQL("create database {}").format(sql.Identifier(names[-1])))
        return f"{server}/{names[-1]}"

    yield create
    for name in names:
        _administer(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def migrated(server: str) -> str:
    """The URL of one migrated database for all tests that commit nothing."""
    _administer(server, sql.SQL("create database migrated"))
    migrate(f"{server}/migrated")
    return f"{server}/migrated"


def _administer(server: str, statement: sql.Composable) -> None:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(statement.as_bytes(connection))
