"""The gateway in the test's own process, where it can be given another manifest and less patience."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from tools.gateway import Gateway
from tools.gateway_process import free_port
from tools.local.identity import Identity
from tools.local.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack
    from tools.local.cloud import LocalCloud
    from tools.manifest_model import Manifest


@asynccontextmanager
async def serving(manifest: Manifest, cloud: LocalCloud, stack: Stack, **patience: Any) -> AsyncIterator[str]:
    """Serve ``manifest`` in this process, on the test's project; its URL. ``patience`` is `Wiring`'s."""
    port = free_port(0)
    url = f"http://127.0.0.1:{port}"
    wiring = Wiring.of(stack.environment, url, **patience)
    application = Gateway(manifest, Identity(cloud.root), wiring)
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_config=None))
    running = asyncio.create_task(server._serve())
    while not server.started:
        assert not running.done(), running.exception()
        await asyncio.sleep(0.01)
    try:
        yield url
    finally:
        server.should_exit = True
        await running
