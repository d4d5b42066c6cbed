"""Clients live as long as their process and event loop, and not longer.

``main.py`` is imported in gunicorn's master and runs in a forked worker, so a client made at import is dead where it
is needed, and a connection pool used from a second event loop fails half of its calls (measured). Hence: made on first
use, once per (process, loop).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_made: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, Any]] = WeakKeyDictionary()
_pid = os.getpid()


def per_loop(factory: Callable[[], T]) -> Callable[[], T]:
    """Memoise ``factory`` per process and running event loop.

    Raises:
        RuntimeError: called where no event loop runs.

    Example:
        >>> @per_loop
        ... def client() -> Client:
        ...     return Client()
    """

    @functools.wraps(factory)
    def get() -> T:
        global _pid  # noqa: PLW0603 - a fork is noticed once per process
        loop = asyncio.get_running_loop()
        if _pid != os.getpid():
            _made.clear()
            _pid = os.getpid()
        client: T
        try:
            client = _made[loop][get]
        except KeyError:
            pass  # made below, so that an error of the factory is not told as one that came of this
        else:
            return client
        client = factory()
        _made.setdefault(loop, {})[get] = client
        return client

    return get


async def aclose_all() -> None:
    """Close what `per_loop` made on the running loop, newest first.

    For tests, scripts and the gateway: a deployed function has no such hook, so nothing may depend on it.
    """
    loop = asyncio.get_running_loop()
    try:
        for client in reversed(list(_made.get(loop, {}).values())):
            close = getattr(client, "aclose", None) or getattr(client, "close", None)
            if close is not None:
                result = close()
                if inspect.isawaitable(result):
                    await result
    finally:
        _made.pop(loop, None)  # not before: what is closed may ask for another, and must not make a new one
