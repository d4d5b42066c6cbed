"""What another try may cure is `Unavailable`, soon, and leaves the pool in working order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING

import psycopg
import pytest

from common.database import execute, fetch_one, transaction
from common.database.pool import MAX_SIZE
from common.errors import Misconfigured, Unavailable
from common.functions import deadline
from common.lifecycle import aclose_all

if TYPE_CHECKING:
    from collections.abc import Callable

    Outside = Callable[[str], list[tuple[object, ...]]]

TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'raptorflow'"
RUNNING = "select count(*) from pg_stat_activity where application_name = 'raptorflow' and state <> 'idle'"


async def backend() -> int:
    row = await fetch_one("select pg_backend_pid() as pid")
    assert row is not None
    pid: int = row["pid"]
    return pid


async def every_place_is_free() -> None:
    """Take all places of the pool at once."""

    async def one() -> None:
        async with transaction():
            await execute("select 1")
            await everyone.wait()

    everyone = asyncio.Barrier(MAX_SIZE)
    async with asyncio.timeout(10):
        await asyncio.gather(*(one() for _ in range(MAX_SIZE)))


async def eventually(outside: Outside, query: str, value: object) -> None:
    async with asyncio.timeout(5):
        while outside(query)[0][0] != value:
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("database")
class TestTimeouts:
    async def test_a_slow_statement(self) -> None:
        with pytest.raises(Unavailable) as caught:
            async with transaction(statement_timeout=0.1):
                await execute("select pg_sleep(30)")
        assert isinstance(caught.value.__cause__, psycopg.errors.QueryCanceled)
        await every_place_is_free()

    async def test_a_lock_held_elsewhere(self) -> None:
        await execute("insert into notes values (1)")

        async def blocked() -> None:
            async with transaction(lock_timeout=0.1):
                await execute("update notes set body = 'x'")

        async with transaction():
            await execute("select 1 from notes for update")
            with pytest.raises(Unavailable) as caught:
                await asyncio.create_task(blocked())
        assert isinstance(caught.value.__cause__, psycopg.errors.LockNotAvailable)

    async def test_a_statement_is_cut_to_the_deadline(self) -> None:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            async with deadline.within(0.3):
                await execute("select pg_sleep(30)")
        assert time.monotonic() - started < 2
        await every_place_is_free()

    async def test_the_servers_timeouts_are_cut_to_the_deadline(self) -> None:
        async with deadline.within(1), transaction():
            row = await fetch_one(
                "select extract(epoch from current_setting('statement_timeout')::interval) as statement, "
                "extract(epoch from current_setting('lock_timeout')::interval) as lock"
            )
        assert row is not None
        assert 0 < row["statement"] <= 1
        assert 0 < row["lock"] <= 1

    async def test_a_server_that_stops_in_mid_statement(self) -> None:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            async with transaction(statement_timeout=0.2):
                pid = await backend()
                os.kill(pid, signal.SIGSTOP)
                try:
                    await execute("select 1")
                finally:
                    os.kill(pid, signal.SIGCONT)
        assert 1 < time.monotonic() - started < 3
        await every_place_is_free()

    async def test_a_transaction_left_idle_does_not_keep_its_locks(self) -> None:
        with pytest.raises(Unavailable):
            async with transaction() as connection:
                await connection.execute("set local idle_in_transaction_session_timeout = 50")
                async with asyncio.timeout(5):
                    while True:
                        await asyncio.sleep(0.1)
                        await execute("select 1")
        await every_place_is_free()


@pytest.mark.usefixtures("database")
class TestConflicts:
    async def test_a_deadlock_has_one_victim_which_may_try_again(self) -> None:
        await execute("insert into notes values (1), (2)")
        both = asyncio.Barrier(2)

        async def cross(first: int, second: int) -> None:
            async with transaction(lock_timeout=5):
                await execute("update notes set body = body || 'x' where id = %s", (first,))
                await both.wait()
                await execute("update notes set body = body || 'x' where id = %s", (second,))

        results = await asyncio.gather(cross(1, 2), cross(2, 1), return_exceptions=True)
        victims = [result for result in results if result is not None]
        assert len(victims) == 1
        assert isinstance(victims[0], Unavailable)
        assert isinstance(victims[0].__cause__, psycopg.errors.DeadlockDetected)
        assert await fetch_one("select sum(length(body)) as n from notes") == {"n": 2}

    async def test_a_serialization_failure(self) -> None:
        await execute("insert into notes values (1)")
        with pytest.raises(Unavailable) as caught:
            async with transaction():
                await execute("set transaction isolation level repeatable read")
                await execute("select * from notes")
                await asyncio.create_task(_update())
                await execute("update notes set body = 'mine'")
        assert isinstance(caught.value.__cause__, psycopg.errors.SerializationFailure)
        assert await fetch_one("select body from notes") == {"body": "theirs"}


async def _update() -> None:
    await execute("update notes set body = 'theirs'")


class TestLostConnections:
    async def test_one_that_died_idle_is_noticed_at_checkout(self, outside: Outside) -> None:
        before = await backend()
        outside(TERMINATE)
        assert await backend() != before

    async def test_all_that_died_idle_are_replaced_at_once(self, outside: Outside) -> None:
        await every_place_is_free()
        outside(TERMINATE)
        started = time.monotonic()
        await backend()
        await every_place_is_free()
        assert time.monotonic() - started < 2

    async def test_one_that_died_in_the_transaction_undoes_it(self, outside: Outside) -> None:
        with pytest.raises(Unavailable):
            async with transaction():
                await execute("insert into notes values (1)")
                outside(TERMINATE)
                await execute("insert into notes values (2)")
        assert await fetch_one("select count(*) as n from notes") == {"n": 0}

    async def test_one_that_died_before_the_commit_is_not_taken_for_committed(self, outside: Outside) -> None:
        with pytest.raises(Unavailable):
            async with transaction():
                await execute("insert into notes values (1)")
                outside(TERMINATE)
        assert await fetch_one("select count(*) as n from notes") == {"n": 0}

    async def test_the_error_of_the_block_is_not_hidden_by_the_failing_rollback(self, outside: Outside) -> None:
        with pytest.raises(ZeroDivisionError):
            async with transaction():
                await execute("insert into notes values (1)")
                outside(TERMINATE)
                raise ZeroDivisionError
        await every_place_is_free()

    async def test_an_idle_one_that_hangs_is_replaced(self, outside: Outside) -> None:
        pid = await backend()
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await backend() != pid
        finally:
            os.kill(pid, signal.SIGCONT)


class TestUnreachable:
    @pytest.fixture(autouse=True)
    async def _closed(self) -> None:
        await aclose_all()

    async def test_a_closed_port_fails_at_once_with_the_reason_and_without_the_password(
        self, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"postgresql://someone:hunter2@127.0.0.1:{unused_tcp_port}/x"
        monkeypatch.setenv("DATABASE_URL", url)
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await execute("select 1")
        assert time.monotonic() - started < 2
        assert "refused" in str(caught.value.__cause__)
        text = "".join(traceback.format_exception(caught.value))
        assert "hunter2" not in text
        assert url not in text
        await aclose_all()

    async def test_a_server_that_accepts_and_says_nothing_fails_within_the_deadline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connected: list[asyncio.StreamWriter] = []
        silent = await asyncio.start_server(lambda _, writer: connected.append(writer), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://someone@127.0.0.1:{port}/x")
        started = time.monotonic()
        try:
            with pytest.raises(Unavailable):
                async with deadline.within(0.3):
                    await execute("select 1")
            assert time.monotonic() - started < 2
        finally:
            for writer in connected:
                writer.close()
            silent.close()
            await aclose_all()

    async def test_a_server_that_talks_nonsense(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://someone@127.0.0.1:{port}/x")
        try:
            with pytest.raises(Unavailable):
                await execute("select 1")
        finally:
            server.close()
            await aclose_all()

    async def test_too_many_connections(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute("create role visitor login connection limit 0")
        monkeypatch.setenv("DATABASE_URL", f"{server}/postgres".replace("postgres@", "visitor@"))
        with pytest.raises(Unavailable) as caught:
            await execute("select 1")
        assert "too many connections" in str(caught.value.__cause__)
        await aclose_all()

    async def test_a_missing_url_names_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DATABASE_URL", raising=False)
        with pytest.raises(Misconfigured, match="DATABASE_URL"):
            await execute("select 1")

    async def test_a_malformed_url_is_not_repeated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgres//someone:hunter2@host/x")
        with pytest.raises(Misconfigured, match="DATABASE_URL") as caught:
            await execute("select 1")
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
        await aclose_all()


@pytest.mark.usefixtures("database")
class TestPlaces:
    async def test_many_tasks_share_a_few_connections(self) -> None:
        async def one() -> int:
            await execute("select pg_sleep(0.01)")
            return await backend()

        pids = await asyncio.gather(*(one() for _ in range(40)))
        assert 1 < len(set(pids)) <= MAX_SIZE

    async def test_a_place_that_does_not_come_free_is_waited_for_until_the_deadline_only(self) -> None:
        release = asyncio.Event()

        async def occupy() -> None:
            async with transaction():
                await everyone.wait()
                await release.wait()

        async def wait() -> None:
            async with deadline.within(0.2):
                await execute("select 1")

        everyone = asyncio.Barrier(MAX_SIZE + 1)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(MAX_SIZE):
                tasks.create_task(occupy())
            await everyone.wait()
            with pytest.raises(Unavailable):
                await wait()
            release.set()
        await every_place_is_free()

    async def test_a_task_cancelled_in_mid_statement_ends_the_statement_and_frees_its_place(
        self, outside: Outside
    ) -> None:
        async def sleep() -> None:
            async with transaction(statement_timeout=60):
                await execute("insert into notes values (1)")
                await execute("select pg_sleep(30)")

        for _ in range(MAX_SIZE + 1):
            task = asyncio.create_task(sleep())
            await eventually(outside, RUNNING + " and query like '%pg_sleep%'", 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await eventually(outside, RUNNING, 0)
        assert outside("select * from notes") == []
        await every_place_is_free()

    async def test_a_task_cancelled_between_statements_rolls_back_and_frees_its_place(self, outside: Outside) -> None:
        inserted = asyncio.Event()

        async def work() -> None:
            async with transaction():
                await execute("insert into notes values (1)")
                inserted.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await inserted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(outside, RUNNING, 0)
        assert outside("select * from notes") == []
        await every_place_is_free()

    async def test_cancelling_while_the_server_hangs_takes_a_second_at_most(self, outside: Outside) -> None:
        pid: int = 0

        async def work() -> None:
            nonlocal pid
            async with transaction():
                pid = await backend()
                os.kill(pid, signal.SIGSTOP)
                await execute("select 1")

        started = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await work()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert time.monotonic() - started < 1.5
        await every_place_is_free()

    async def test_cancelling_tasks_at_any_point_loses_no_place(self) -> None:
        for delay in range(60):
            task = asyncio.create_task(_insert_and_roll_back())
            for _ in range(delay % 20):
                await asyncio.sleep(0)
            if delay >= 20:
                await asyncio.sleep(delay / 20_000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await every_place_is_free()


async def _insert_and_roll_back() -> None:
    async with transaction():
        await execute("insert into notes values (1)")
        raise KeyError


def test_each_event_loop_has_its_own_pool(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def query() -> int:
        try:
            return await backend()
        finally:
            await aclose_all()

    monkeypatch.setenv("DATABASE_URL", f"{server}/postgres")
    assert asyncio.run(query()) != asyncio.run(query())
