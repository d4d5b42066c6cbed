"""The process that hosts every service that is not a server from a wheel; started by ``python -m tools.local up``.

One process, because imports cost more than the work. A new service is one more line of `SERVICES`.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import logging
import signal
import socket
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.local.environment import Secrets, load_secrets
from tools.local.state import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request

    from tools.local.identity import Identity

    Running = AbstractAsyncContextManager[None]
    Start = Callable[["Context", int], Running]

REPOSITORY = Path(__file__).parents[2]
_PROBE_SECONDS = 2.0
_GRACE_SECONDS = 1

log = logging.getLogger("tools.local.services")


@dataclass(frozen=True, slots=True)
class Context:
    """What the services share.

    Attributes:
        root: the local cloud's folder.
        identity: signs tokens.
        secrets: of this cloud.
    """

    root: Path
    identity: Identity
    secrets: Secrets


def _pubsub(context: Context, port: int) -> Running:
    from tools.local.pubsub.server import start  # noqa: PLC0415 - the launcher reads only the names

    return _until_stopped(start(port, sign=context.identity.sign))


def _tasks(context: Context, port: int) -> Running:
    from tools.local.tasks.server import start  # noqa: PLC0415

    return _until_stopped(start(port, sign=context.identity.sign))


def _storage(context: Context, port: int) -> Running:
    from tools.local.storage.app import application  # noqa: PLC0415

    return serve(application(context.root), port)


@asynccontextmanager
async def _bigquery(context: Context, port: int) -> AsyncIterator[None]:
    from tools.local.bigquery.app import application  # noqa: PLC0415

    made = application(context.root)
    async with serve(made, port):
        yield
    made.state.service.close()


def _operations(_context: Context, port: int) -> Running:
    from tools.local.operations.server import start  # noqa: PLC0415

    return _until_stopped(start(port), grace=None)


def _vertex(_context: Context, port: int) -> Running:
    from tools.local.vertex.app import application  # noqa: PLC0415

    return serve(application(), port)


def _slack(context: Context, port: int) -> Running:
    from tools.local.slack import application  # noqa: PLC0415

    return serve(application(context.secrets.slack_path), port)


def _phonepe(context: Context, port: int) -> Running:
    from tools.local.phonepe.app import application  # noqa: PLC0415

    return serve(application(context.secrets), port)


def _mail(context: Context, port: int) -> Running:
    from tools.local.mail.app import application  # noqa: PLC0415

    return serve(application(context.secrets.resend_api_key), port)


def _identity(context: Context, port: int) -> Running:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.responses import JSONResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def jwks(_request: Request) -> JSONResponse:
        return JSONResponse(context.identity.jwks())

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"services": list(SERVICES)})

    return serve(Starlette(routes=[Route("/jwks.json", jwks), Route("/health", health)]), port)


SERVICES: Mapping[str, Start] = {
    "pubsub": _pubsub,
    "tasks": _tasks,
    "storage": _storage,
    "bigquery": _bigquery,
    "operations": _operations,
    "vertex": _vertex,
    "slack": _slack,
    "phonepe": _phonepe,
    "mail": _mail,
    "identity": _identity,  # last: once its /health answers, all are up
}


@asynccontextmanager
async def _until_stopped(starting: Awaitable[Any], **how: Any) -> AsyncIterator[None]:
    """Start a server, and stop it, ``how`` its ``stop`` is told, when the context ends."""
    server = await starting
    try:
        yield
    finally:
        await server.stop(**how)


@asynccontextmanager
async def serve(application: Any, port: int) -> AsyncIterator[None]:
    """Serve an ASGI application on the loopback address while the context lasts.

    Raises:
        OSError: the port is taken.
    """
    import uvicorn  # noqa: PLC0415

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are the process's, not one server's."""
            yield

    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = Server(config)
    listening = socket.create_server((HOST, port))
    # asyncio sets it on sockets that it made itself only; without it an answer in two writes takes 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def command(root: Path, ports: Mapping[str, int]) -> Sequence[str | Path]:
    """The command that runs this process."""
    chosen = [part for name in SERVICES for part in ("--port", f"{name}={ports[name]}")]
    return [sys.executable, "-m", "tools.local.services", "--root", root, *chosen]


def healthy(port: int) -> bool:
    """Whether all services answer now; ``port`` is the identity's."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK and json.loads(answer.read())["services"] == list(SERVICES)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


async def run(root: Path, ports: Mapping[str, int]) -> None:
    """Host all services until SIGTERM or SIGINT."""
    from contextlib import AsyncExitStack  # noqa: PLC0415

    from tools.local.identity import Identity  # noqa: PLC0415

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    context = Context(root, Identity(root), load_secrets(root))
    async with AsyncExitStack() as running:
        for name, start in SERVICES.items():
            await running.enter_async_context(start(context, ports[name]))
            log.info("%s listens on %s:%d", name, HOST, ports[name])
        await stopping.wait()
        log.info("stopping")


def main(arguments: list[str] | None = None) -> int:
    """Run the process; started by the launcher, which chooses the ports."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.local.services", description="Started by `python -m tools.local up`."
    )
    parser.add_argument("--root", type=Path, required=True, help="the local cloud's folder")
    parser.add_argument("--port", action="append", required=True, metavar="NAME=PORT", help=", ".join(SERVICES))
    options = parser.parse_args(arguments)
    ports = {name: int(port) for name, _, port in (item.partition("=") for item in options.port)}
    if set(ports) != set(SERVICES):
        parser.error(f"one --port for each of {', '.join(SERVICES)}")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("tools").setLevel(logging.INFO)
    import uvloop  # noqa: PLC0415 - what functions are served on too; a publish takes a fifth less

    with suppress(KeyboardInterrupt):
        uvloop.run(run(options.root, ports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
