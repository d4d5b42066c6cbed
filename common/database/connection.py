"""One connection: how it is opened, how long it waits, and which of its errors another try may cure.

The only module of this package that imports psycopg at its top; the others import it when the first query comes.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from common.errors import Misconfigured, Unavailable
from common.functions import deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import PQGen

T = TypeVar("T")

CANCEL_SECONDS = 0.5
"""How long an abandoned statement is given to be cancelled on the server."""

_PASSING = {"08", "40", "53", "57", "58"}
"""Classes of SQLSTATE that pass by themselves: connection, rollback (serialization, deadlock), resources, operator
intervention (time-out, shutdown), system error. https://www.postgresql.org/docs/current/errcodes-appendix.html"""
_PASSING_CODES = {"25P03", "25P04", "55P03"}
"""Idle-in-transaction and transaction time-out, lock not available."""


class Connection(psycopg.AsyncConnection[DictRow]):
    """A psycopg connection whose every wait is bounded on this side too.

    The server's ``statement_timeout`` ends a slow statement, but not the wait for a server that has stopped answering;
    and psycopg's own reaction to a cancelled task, waiting up to ten seconds for the cancelled statement, takes longer
    than an invocation may have left.

    Attributes:
        patience: seconds one answer may take; cut to what is left of the invocation.
    """

    patience: float = 5.0

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's signature
        """Let ``gen`` talk to the server.

        Raises:
            psycopg.OperationalError: no answer in time; the connection is in mid-statement and can only be closed.
        """
        seconds = deadline.remaining(self.patience if timeout is None else timeout)
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=seconds)
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                with suppress(psycopg.Error):
                    await self.cancel_safe(timeout=CANCEL_SECONDS)
            raise


async def connect(conninfo: dict[str, Any]) -> Connection:
    """Open a connection to what `parse` returned.

    No prepared statements and nothing set for the session: the transaction pooler gives every transaction another
    server connection. Autocommit, because ``begin`` is sent together with the time-outs.

    Raises:
        psycopg.OperationalError: refused, or not reached.
    """
    return await Connection.connect(
        **conninfo,
        autocommit=True,
        prepare_threshold=None,
        row_factory=dict_row,
        fallback_application_name=os.environ.get("K_SERVICE", "raptorflow"),
    )


def parse(url: str) -> dict[str, Any]:
    """The connection parameters in ``url``.

    Raises:
        Misconfigured: it is none; libpq's own message would repeat it, password and all.
    """
    try:
        return conninfo_to_dict(url)
    except psycopg.Error:
        raise Misconfigured(
            "DATABASE_URL is not a connection string: postgresql://user:password@host:port/name"
        ) from None


@contextmanager
def passing_errors_are_unavailable() -> Iterator[None]:
    """Turn an error that another try may cure into `Unavailable`, with psycopg's as its cause; let the others through.

    Raises:
        Unavailable: no connection, connection lost, deadlock, serialization failure, a time-out, shutdown, too many.
    """
    try:
        yield
    except psycopg.Error as error:
        if not _passes(error):
            raise
        what = type(error).__name__ + (f" ({error.sqlstate})" if error.sqlstate else "")
        raise Unavailable(f"the database cannot answer now: {what}") from error


def _passes(error: psycopg.Error) -> bool:
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate[:2] in _PASSING or error.sqlstate in _PASSING_CODES
