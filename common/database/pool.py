"""A few connections per (process, event loop), opened when needed, kept while they work.

Not ``psycopg_pool``: it connects and repairs in background tasks, which an instance whose CPU is throttled between
requests does not run, with the back-off of a long-lived server. Measured beside each other: after the server dropped
four idle connections the next query took 7.4 s there and 5 ms here (one dropped: 3 ms in both); a refused connection
took the whole wait of 5 s there, without the reason, and 0.4 ms here; 14 s after an outage of 16 s that pool tried
again. Here the caller that needs a connection opens it, within its own deadline and with its own error.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from common.errors import Misconfigured, Unavailable
from common.functions import deadline
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from common.database.connection import Connection

MAX_SIZE = 4
"""Connections of one instance; times the largest number of instances it must fit the pooler's client limit."""
CHECKOUT_SECONDS = 5.0
"""For a free place, a connection and its first answer together."""
IDLE_CHECK_SECONDS = 2.0
"""For the first answer of a connection that has been idle; then it is replaced."""


class Pool:
    """Up to ``size`` connections to one database."""

    def __init__(self, url: str, size: int = MAX_SIZE) -> None:
        self._url = url
        self._conninfo: dict[str, Any] = {}
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self, opening: bytes) -> AsyncIterator[Connection]:
        """A connection on which ``opening`` has been executed; what is not committed at the end is rolled back.

        The opening statement, usually ``begin``, is also the check of an idle connection: it must be harmless twice.

        Raises:
            Unavailable: none was to be had in time.
            psycopg.Error: the server refused the connection or the statement.
        """
        seconds = deadline.remaining(CHECKOUT_SECONDS)
        taken = False
        try:
            try:
                async with asyncio.timeout(seconds):
                    taken = await self._places.acquire()
                    connection = await self._checkout(opening)
            except TimeoutError as error:
                raise Unavailable(f"no database connection within {seconds:.1f} s") from error
            try:
                yield connection
            finally:
                await self._checkin(connection)  # type: ignore[possibly-undefined]  # timeout() swallows nothing
        finally:
            if taken:
                self._places.release()

    async def aclose(self) -> None:
        """Close the idle connections now, and the others when they come back."""
        self._closed = True
        await self._drop_idle()

    async def _checkout(self, opening: bytes) -> Connection:
        import psycopg  # noqa: PLC0415 - costs a third of a cold start

        from common.database.connection import connect, parse  # noqa: PLC0415 - imports psycopg

        if self._idle:
            connection = self._idle.pop()
            try:
                return await _opened(connection, opening, IDLE_CHECK_SECONDS)
            except psycopg.OperationalError:
                # A server that dropped one idle connection (restart, freeze, fail-over) dropped all of them.
                await self._drop_idle()
        self._conninfo = self._conninfo or parse(self._url)
        return await _opened(await connect(self._conninfo), opening, CHECKOUT_SECONDS)

    async def _checkin(self, connection: Connection) -> None:
        """Keep it if it is idle, or after a rollback; close it if it is in mid-statement or lost."""
        import psycopg  # noqa: PLC0415 - loaded by now
        from psycopg.pq import TransactionStatus  # noqa: PLC0415

        try:
            if connection.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
                with suppress(psycopg.Error):  # then it is not idle, and closing it rolls back as well
                    await connection.rollback()
        finally:
            if self._closed or connection.info.transaction_status != TransactionStatus.IDLE:
                await connection.close()
            else:
                self._idle.append(connection)

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()


async def _opened(connection: Connection, opening: bytes, patience: float) -> Connection:
    connection.patience = patience
    try:
        await connection.execute(opening)
    except BaseException:
        await connection.close()
        raise
    return connection


@per_loop
def pool() -> Pool:
    """The pool for ``DATABASE_URL``.

    Raises:
        Misconfigured: the variable is not set.
    """
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise Misconfigured("DATABASE_URL is not set")
    return Pool(url)
