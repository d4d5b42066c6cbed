"""Transactions, and queries that join the one in force.

::

    transaction() ──────────────────────────────────┐
    │ begin + time-outs (one round trip)            │
    │   transaction() … joins: same connection      │
    │   fetch_one(), execute() … join               │
    │   after_commit(publish)                       │
    │ commit                                        │
    └ connection back to the pool ── publish() ─────┘

The transaction belongs to the task that opened it. A task started inside (`asyncio.gather`, and in Python 3.11
`asyncio.wait_for` too) does not join, for one connection cannot serve two tasks: it opens its own, does not see what is
uncommitted, and may wait for its parent's locks. Bound time with `asyncio.timeout`, which starts no task.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.database.pool import pool
from common.functions import deadline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from psycopg.abc import QueryNoTemplate

    from common.database.connection import Connection

    Params = Sequence[Any] | Mapping[str, Any] | None

IDLE_SECONDS = 30.0
"""After this long without a statement the server ends the transaction: a frozen instance must not keep its locks."""


@dataclass(slots=True)
class _Transaction:
    connection: Connection
    task: asyncio.Task[Any] | None
    callbacks: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    failure: BaseException | None = None
    """What left an inner `transaction`: its half-done work must not be committed by an outer one that caught it."""


_bound: ContextVar[_Transaction | None] = ContextVar("transaction", default=None)


@asynccontextmanager
async def transaction(*, statement_timeout: float = 5.0, lock_timeout: float = 2.0) -> AsyncIterator[Connection]:
    """Run the block in one transaction: committed at its end, rolled back by any exception.

    Inside another one of the same task it joins that: same connection, no savepoint, the outer one's time-outs. An
    exception that leaves an inner one dooms the outer, even if it is caught on the way.

    When the connection is lost during the commit itself, nobody can tell whether it happened: the caller gets
    `Unavailable` and must be safe to repeat.

    Args:
        statement_timeout: seconds for each statement, cut to what is left of the invocation.
        lock_timeout: seconds to wait for a lock, cut likewise.

    Raises:
        Unavailable: the same transaction may succeed later; psycopg's error is its cause.
        RuntimeError: a failure inside was swallowed; nothing was committed.
        psycopg.Error: the statement itself is wrong, or the data breaks a constraint.

    Example:
        >>> async with transaction():
        ...     await execute("update payments set status = 'failed' where id = %s", (payment_id,))
        ...     after_commit(tell_the_customer)
    """
    outer = _joined()
    if outer is not None:
        try:
            yield outer.connection
        except BaseException as error:
            outer.failure = outer.failure or error
            raise
        return

    from common.database.connection import passing_errors_are_unavailable  # noqa: PLC0415 - imports psycopg

    with passing_errors_are_unavailable():
        async with pool().connection(_begin(statement_timeout, lock_timeout)) as connection:
            connection.patience = statement_timeout + 1.0
            bound = _Transaction(connection, asyncio.current_task())
            token = _bound.set(bound)
            try:
                yield connection
                await _commit(bound)
            finally:
                _bound.reset(token)
    for callback in bound.callbacks:
        await callback()


def after_commit(callback: Callable[[], Awaitable[object]]) -> None:
    """Await ``callback`` once the outermost transaction is committed, in the order of registration, outside of it.

    After a rollback it does not run. Its exception reaches whoever opened the transaction and stops the callbacks
    behind it: the commit stands, so a callback may only hasten what is stored, such as publishing an outbox row.

    Raises:
        RuntimeError: this task has no transaction.
    """
    bound = _joined()
    if bound is None:
        raise RuntimeError("after_commit() outside of a transaction of this task")
    bound.callbacks.append(callback)


def current() -> Connection | None:
    """The connection of this task's transaction, or None."""
    bound = _joined()
    return bound.connection if bound else None


async def fetch_one(sql: QueryNoTemplate, params: Params = None) -> dict[str, Any] | None:
    """The first row, or None; in the transaction of this task, or in one of its own.

    Raises:
        Unavailable, psycopg.Error: as `transaction`.
    """
    async with _joining() as connection:
        return await (await connection.execute(sql, params)).fetchone()


async def fetch_all(sql: QueryNoTemplate, params: Params = None) -> list[dict[str, Any]]:
    """All rows; otherwise as `fetch_one`."""
    async with _joining() as connection:
        return await (await connection.execute(sql, params)).fetchall()


async def execute(sql: QueryNoTemplate, params: Params = None) -> int:
    """Execute ``sql`` and return the number of rows it touched; otherwise as `fetch_one`."""
    async with _joining() as connection:
        return (await connection.execute(sql, params)).rowcount


@asynccontextmanager
async def _joining() -> AsyncIterator[Connection]:
    bound = _joined()
    if bound is None:
        async with transaction() as connection:
            yield connection
        return

    from common.database.connection import passing_errors_are_unavailable  # noqa: PLC0415 - imports psycopg

    with passing_errors_are_unavailable():
        yield bound.connection


def _joined() -> _Transaction | None:
    bound = _bound.get()
    return bound if bound is not None and bound.task is asyncio.current_task() else None


def _begin(statement_timeout: float, lock_timeout: float) -> bytes:
    """``begin`` and the transaction's time-outs as one simple query, so that they cost one round trip."""
    settings = {
        "statement_timeout": deadline.remaining(statement_timeout),
        "lock_timeout": deadline.remaining(lock_timeout),
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    limits = [f"set local {name} = {max(1, round(seconds * 1000))}" for name, seconds in settings.items()]
    return "; ".join(["begin", *limits]).encode()


async def _commit(bound: _Transaction) -> None:
    from psycopg.pq import TransactionStatus  # noqa: PLC0415 - loaded by now

    if bound.failure is not None:
        raise RuntimeError("rolled back: an exception left an inner transaction and was caught") from bound.failure
    # Postgres answers the commit of a failed transaction with a rollback and no error.
    if bound.connection.info.transaction_status != TransactionStatus.INTRANS:
        raise RuntimeError("rolled back: a statement failed, or ended the transaction, and its error was caught")
    await bound.connection.commit()
