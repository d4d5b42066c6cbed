from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.database.fixtures import migrated, new_database, server
from tests.supabase.rows import Database, Person, sign_up

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["migrated", "new_database", "server"]


@pytest.fixture
def db(migrated: str) -> Iterator[Database]:
    """The migrated database, as its owner, in a transaction that is rolled back."""
    with psycopg.connect(migrated, row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def person(db: Database) -> Person:
    return sign_up(db)
