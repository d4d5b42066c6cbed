"""The asynchronous services from code that is not: Flask views, scripts, a Python prompt.

    from common.redis.bridge import wait

    session = wait(SessionService().get_session(session_id))

A view runs in a thread of the serving process, whose loop has the connection: `serve_on` tells once which loop that is.
Where nobody did, a thread with a loop of its own is started at the first call, one per process.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from common.functions.deadline import remaining
from common.lifecycle import aclose_all

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

MAX_SECONDS = 60.0
"""That a call may take where no invocation says otherwise."""

_END_SECONDS = 5.0


@dataclass
class _Loop:
    loop: asyncio.AbstractEventLoop
    pid: int


_guard = threading.Lock()
_chosen: _Loop | None = None


def serve_on(loop: asyncio.AbstractEventLoop | None) -> None:
    """Let `wait` use ``loop``, which runs in another thread; None to forget it."""
    global _chosen  # noqa: PLW0603 - one per process
    with _guard:
        _chosen = None if loop is None else _Loop(loop, os.getpid())


def wait(work: Coroutine[Any, Any, T], *, seconds: float = MAX_SECONDS) -> T:
    """Run ``work`` on the loop and wait for its result; deadline and log context of the caller hold in there too.

    Args:
        work: a call of an asynchronous function.
        seconds: at most, cut to what is left of the invocation.

    Raises:
        RuntimeError: called where an event loop runs: that would stop the loop; use ``await``.
        TimeoutError: it took too long; it is cancelled.
        Exception: whatever ``work`` raises.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        work.close()
        raise RuntimeError("an event loop runs in this thread: use await instead of wait()")
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result(remaining(seconds))
    except BaseException:
        future.cancel()
        raise


def _loop() -> asyncio.AbstractEventLoop:
    global _chosen  # noqa: PLW0603 - one per process
    with _guard:
        if _chosen is None or _chosen.pid != os.getpid() or _chosen.loop.is_closed():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="redis-bridge", daemon=True)
            thread.start()
            atexit.register(_end, loop, thread, os.getpid())
            _chosen = _Loop(loop, os.getpid())
        return _chosen.loop


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    """Close what was opened there, at the end of the process that started it."""
    if pid == os.getpid():
        asyncio.run_coroutine_threadsafe(aclose_all(), loop).result(_END_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_END_SECONDS)
        loop.close()
