"""Postgres: transactions over a small pool, for the Supabase transaction pooler.

Importing this package, or a name from it, does not import psycopg: the first query does.

Example:
    >>> from common.database import execute, fetch_one, transaction
    >>> async with transaction():
    ...     payment = await fetch_one("select status from payments where id = %s for update", (payment_id,))
    ...     await execute("update payments set status = 'processing' where id = %s", (payment_id,))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.database.transactions import after_commit, current, execute, fetch_all, fetch_one, transaction

__all__ = ["after_commit", "current", "execute", "fetch_all", "fetch_one", "transaction"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("common.database.transactions"), name)
