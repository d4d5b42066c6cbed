from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from common import ids
from common.database import execute, fetch_all, fetch_one, transaction


@pytest.mark.usefixtures("database")
class TestQueries:
    async def test_rows_are_dicts_with_python_values(self) -> None:
        value = ids.new_id()
        row = await fetch_one(
            "select %s::uuid as id, %s::timestamptz as at, %s::jsonb as data, %s::bytea as raw",
            (value, datetime(2026, 11, 23, tzinfo=UTC), '{"a": [1]}', b"\x00\xff"),
        )
        assert row == {
            "id": UUID(value),
            "at": datetime(2026, 11, 23, tzinfo=UTC),
            "data": {"a": [1]},
            "raw": b"\x00\xff",
        }

    async def test_no_row_is_none_and_no_rows_are_an_empty_list(self) -> None:
        assert await fetch_one("select * from notes where id = %s", (1,)) is None
        assert await fetch_all("select * from notes") == []

    async def test_execute_counts_the_rows_it_touched_and_commits(self) -> None:
        assert await execute("insert into notes (id) select generate_series(1, %s)", (3,)) == 3
        assert await execute("update notes set body = %(body)s where id > %(id)s", {"body": "x", "id": 1}) == 2
        assert [row["body"] for row in await fetch_all("select body from notes order by id")] == ["", "x", "x"]

    async def test_a_hostile_parameter_stays_a_value(self) -> None:
        await execute("insert into notes values (%s, %s)", (1, "'); drop table notes; --"))
        assert await fetch_one("select body from notes") == {"body": "'); drop table notes; --"}

    async def test_queries_join_the_transaction(self) -> None:
        with pytest.raises(KeyError):
            async with transaction():
                await execute("insert into notes values (1)")
                assert await fetch_one("select id from notes") == {"id": 1}
                raise KeyError
        assert await fetch_all("select * from notes") == []

    async def test_integrity_and_programming_errors_pass_unchanged(self) -> None:
        await execute("insert into notes values (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await execute("insert into notes values (1)")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await execute("select * from nothing")
        with pytest.raises(psycopg.ProgrammingError, match="placeholder"):
            await execute("select %s, %s", (1,))
        assert await fetch_one("select count(*) as n from notes") == {"n": 1}

    async def test_nothing_is_prepared_and_no_setting_outlives_its_transaction(self) -> None:
        async with transaction(statement_timeout=1.5, lock_timeout=0.5):
            for _ in range(10):  # psycopg would prepare from the sixth on
                await fetch_one("select %s::int as n", (1,))
            assert await fetch_one("select count(*) as n from pg_prepared_statements") == {"n": 0}
            assert await fetch_one("show statement_timeout") == {"statement_timeout": "1500ms"}
            assert await fetch_one("show lock_timeout") == {"lock_timeout": "500ms"}
            pid = await fetch_one("select pg_backend_pid() as pid")
        async with transaction() as connection:
            assert await fetch_one("select pg_backend_pid() as pid") == pid
            assert await fetch_one("show statement_timeout") == {"statement_timeout": "5s"}
            await connection.commit()
            assert await (await connection.execute("show statement_timeout")).fetchone() == {"statement_timeout": "0"}
            await connection.execute("begin")
