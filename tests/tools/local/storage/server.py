"""One of our HTTP services in a thread of its own, since the client libraries wait."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from common import clock
from tools.gateway_process import free_port
from tools.local.services import serve
from tools.local.storage.app import application as storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from starlette.applications import Starlette


@contextmanager
def running(
    root: Path,
    *,
    at: datetime | None = None,
    port: int = 0,
    application: Callable[[Path], Starlette] = storage,
) -> Iterator[str]:
    """A server with its data under ``root``, Cloud Storage if not another, whose clock stands at ``at``; its URL."""
    port = port or free_port(0)
    ready, failures = threading.Event(), list[BaseException]()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stopping = asyncio.Event()
        stop.append((asyncio.get_running_loop(), stopping))
        async with serve(application(root), port):
            ready.set()
            await stopping.wait()

    def thread() -> None:
        try:
            with clock.frozen(at) if at else nullcontext():
                asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            failures.append(error)
        finally:
            ready.set()

    serving = threading.Thread(target=thread)
    serving.start()
    try:
        assert ready.wait(10)
        assert not failures, failures
        yield f"http://127.0.0.1:{port}"
    finally:
        if not failures:
            loop, stopping = stop[0]
            loop.call_soon_threadsafe(stopping.set)
        serving.join(10)
        assert not serving.is_alive()
