"""What happens between SIGTERM and SIGKILL.

The platform kills an instance ten seconds after SIGTERM, while the framework's server would drain for thirty
(measured). So the first request puts a handler in front of the server's own: it moves every running invocation's
deadline to eight seconds from then. What ends in time is answered; the rest is rolled back, answered 503 and delivered
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import threading
from typing import TYPE_CHECKING

from common.functions import deadline

if TYPE_CHECKING:
    from types import FrameType

SECONDS = 8.0
"""Of the platform's ten; the rest is for the answers to leave and the server to close."""


@functools.cache
def install() -> None:
    """Chain in front of the server's SIGTERM handler; once per process, called on its serving loop.

    Where there is no such handler, or this is not the main thread, nobody drains and there is nothing to chain.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        return
    loop = asyncio.get_running_loop()

    def terminate(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nothing runs that could be shortened
            loop.call_soon_threadsafe(deadline.shorten_all, SECONDS)
        previous(number, frame)

    signal.signal(signal.SIGTERM, terminate)
