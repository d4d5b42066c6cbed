from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from common.database import after_commit, current, execute, fetch_all, fetch_one, transaction
from common.database.pool import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    Outside = Callable[[str], list[tuple[object, ...]]]

pytestmark = pytest.mark.usefixtures("database")


async def notes() -> list[int]:
    return [row["id"] for row in await fetch_all("select id from notes order by id")]


async def backend() -> int:
    row = await fetch_one("select pg_backend_pid() as pid")
    assert row is not None
    pid: int = row["pid"]
    return pid


async def test_the_end_of_the_block_commits(outside: Outside) -> None:
    async with transaction() as connection:
        await connection.execute("insert into notes values (1)")
        assert outside("select * from notes") == []
    assert outside("select id from notes") == [(1,)]


async def test_an_exception_rolls_back_and_passes(outside: Outside) -> None:
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await execute("insert into notes values (1)")
            raise ZeroDivisionError
    assert outside("select * from notes") == []


async def test_current_is_the_connection_of_the_block_only() -> None:
    assert current() is None
    async with transaction() as connection:
        assert current() is connection
    assert current() is None


async def test_an_inner_transaction_joins_the_outer() -> None:
    async with transaction() as outer:
        await execute("insert into notes values (1)")
        async with transaction(statement_timeout=60) as inner:
            assert inner is outer
            assert await notes() == [1]
            assert await fetch_one("show statement_timeout") == {"statement_timeout": "5s"}
        assert current() is outer


async def test_a_rollback_of_the_outer_undoes_the_inner(outside: Outside) -> None:
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            async with transaction():
                await execute("insert into notes values (1)")
            raise ZeroDivisionError
    assert outside("select * from notes") == []


async def test_the_half_done_work_of_a_failed_inner_is_not_committed(outside: Outside) -> None:
    with pytest.raises(RuntimeError, match="inner") as caught:
        async with transaction():
            with pytest.raises(ZeroDivisionError):
                async with transaction():
                    await execute("insert into notes values (1)")
                    raise ZeroDivisionError
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert outside("select * from notes") == []


async def test_a_swallowed_statement_error_is_not_taken_for_a_commit(outside: Outside) -> None:
    with pytest.raises(RuntimeError, match="caught"):
        async with transaction():
            await execute("insert into notes values (1)")
            with pytest.raises(psycopg.errors.UniqueViolation):
                await execute("insert into notes values (1)")
    assert outside("select * from notes") == []


async def test_a_savepoint_of_psycopg_confines_an_expected_error() -> None:
    async with transaction() as connection:
        await execute("insert into notes values (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await execute("insert into notes values (1)")
        await execute("insert into notes values (2)")
    assert await notes() == [1, 2]


async def test_callbacks_run_in_order_after_the_outer_commit_and_outside_of_it(outside: Outside) -> None:
    seen: list[object] = []

    async def first() -> None:
        seen.append(("first", current(), outside("select id from notes")))

    async def second() -> None:
        async with transaction():
            await execute("insert into notes values (2)")
        seen.append("second")

    async with transaction():
        await execute("insert into notes values (1)")
        async with transaction():
            after_commit(first)
        assert seen == []
        after_commit(second)
    assert seen == [("first", None, [(1,)]), "second"]
    assert await notes() == [1, 2]


async def test_callbacks_do_not_run_after_a_rollback() -> None:
    seen: list[int] = []

    async def callback() -> None:
        seen.append(1)

    with pytest.raises(ZeroDivisionError):
        async with transaction():
            after_commit(callback)
            raise ZeroDivisionError
    with pytest.raises(RuntimeError):
        async with transaction():
            after_commit(callback)
            with pytest.raises(psycopg.errors.UndefinedTable):
                await execute("select * from nothing")
    async with transaction():
        pass
    assert seen == []


async def test_a_failing_callback_reaches_the_caller_stops_the_next_and_leaves_the_commit() -> None:
    seen: list[int] = []

    async def fails() -> None:
        raise ZeroDivisionError

    async def never() -> None:
        seen.append(1)

    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await execute("insert into notes values (1)")
            after_commit(fails)
            after_commit(never)
    assert seen == []
    assert await notes() == [1]


async def test_a_callback_has_its_connection_back_even_when_every_place_was_taken() -> None:
    async def work(number: int) -> None:
        async def record() -> None:
            await execute("update notes set body = 'told' where id = %s", (number,))

        async with transaction():
            await execute("insert into notes values (%s)", (number,))
            await everyone.wait()
            after_commit(record)

    everyone = asyncio.Barrier(MAX_SIZE)
    async with asyncio.timeout(10):
        await asyncio.gather(*(work(number) for number in range(MAX_SIZE)))
    assert await fetch_all("select * from notes where body <> 'told'") == []


async def test_after_commit_needs_a_transaction() -> None:
    async def callback() -> None: ...

    with pytest.raises(RuntimeError, match="outside"):
        after_commit(callback)


async def test_a_task_started_inside_gets_a_transaction_of_its_own() -> None:
    async def child() -> tuple[bool, int, list[int]]:
        alone = current() is None
        with pytest.raises(RuntimeError):
            after_commit(asyncio.Event().wait)
        return alone, await backend(), await notes()

    async with transaction():
        await execute("insert into notes values (1)")
        mine = await backend()
        results = await asyncio.gather(child(), child())
        assert await notes() == [1]
    for alone, pid, seen in results:
        assert alone
        assert pid != mine
        assert seen == []


async def test_a_child_that_outlives_the_transaction_cannot_touch_its_connection() -> None:
    ended = asyncio.Event()

    async def child() -> bool:
        await ended.wait()
        await execute("insert into notes values (2)")
        return current() is None

    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(ZeroDivisionError):
            async with transaction():
                running = tasks.create_task(child())
                await asyncio.sleep(0)
                raise ZeroDivisionError
        ended.set()
    assert running.result()
    assert await notes() == [2]
