"""Every function of the manifest behind one port, as the cloud would call them.

The gateway plays what stands in front of a deployed function: the URL, IAM's check of the caller's token, Pub/Sub's
push subscriptions and Cloud Scheduler. Business code does not know the difference.

    python -m tools.gateway --port 8080 --reload
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import threading
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from common.config.logging_config import JsonFormatter
from common.jobs import JobScheduler
from common.lifecycle import aclose_all
from tools.gateway_manifest import BrokenManifestError, check, follow, keep
from tools.local.buckets import wire_buckets
from tools.local.cloud import LocalCloud
from tools.local.identity import Identity, InvalidToken, verify
from tools.local.processes import CloudError
from tools.local.queues import wire_queues
from tools.local.wiring import Wiring, wire
from tools.manifest_model import load
from tools.trace import lines_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from datetime import datetime

    from tools.manifest_model import Manifest

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Main = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("raptorflow.gateway")

ROOT_VARIABLE = "RAPTORFLOW_LOCAL_ROOT"
URL_VARIABLE = "RAPTORFLOW_GATEWAY_URL"
MANIFEST_VARIABLE = "RAPTORFLOW_MANIFEST"
MAX_LINES_BYTES = 20_000_000
"""Of log lines that are kept for `tools.trace`, twice."""
SIGNATURE_REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"


@dataclass(frozen=True)
class Mounted:
    """A function at its path."""

    name: str
    main: Main
    public: bool
    routes: bool
    """Whether it has paths of its own below its own URL (``api/*``)."""


class Gateway:
    """One ASGI application for all functions: exact paths, no redirects, since a push counts those as failures."""

    def __init__(self, manifest: Manifest, identity: Identity, wiring: Wiring) -> None:
        self._manifest = manifest
        self._identity = identity
        self._keys = identity.jwks()
        self._wiring = wiring
        self._scheduler = JobScheduler()
        self._functions = {
            name: Mounted(
                name=name,
                main=importlib.import_module(function.module).main,
                public=function.trigger.public,
                routes=name.startswith("api-"),
            )
            for name, function in manifest.functions.items()
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            subscriptions = await wire(self._manifest, self._wiring)
            await wire_queues(self._manifest, self._wiring)
            await wire_buckets(self._wiring)
            self._schedule()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            raise
        log.info("serving %d functions, %d subscriptions", len(self._functions), len(subscriptions))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._scheduler.stop()
        await aclose_all()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request) -> Response:
        path: str = request.scope["path"]
        if path == "/":
            return JSONResponse(self._index())
        if path.startswith("/_local/run/"):
            return await self._run(request, path.removeprefix("/_local/run/"))
        name, _, below = path.removeprefix("/").partition("/")
        function = self._functions.get(name)
        if function is None or (below and not function.routes):
            return _problem(404, f"no function answers at {path}; GET / lists them")
        scope = {**request.scope, "root_path": f"/{name}"}
        if not function.public:
            try:
                scope["headers"] = self._admit(request, f"{self._wiring.base_url}/{name}")
            except InvalidToken as error:
                return _problem(403, f"IAM refuses the caller: {error}")
        return await function.main(Request(scope, request.receive))

    def _admit(self, request: Request, audience: str) -> list[tuple[bytes, bytes]]:
        """What Google's front end does: verify the token, and forward it with the signature removed."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken("a bearer token is needed")
        verify(token, audience, self._keys)
        forwarded = f"Bearer {token.rpartition('.')[0]}.{SIGNATURE_REMOVED}".encode()
        headers = [(name, value) for name, value in request.headers.raw if name != b"authorization"]
        return [*headers, (b"authorization", forwarded)]

    def _index(self) -> dict[str, Any]:
        return {
            name: {
                "url": f"{self._wiring.base_url}/{name}",
                "description": function.description,
                "trigger": function.trigger.kind,
                "topic": function.trigger.topic,
                "schedule": function.trigger.schedule,
            }
            for name, function in sorted(self._manifest.functions.items())
        }

    def _schedule(self) -> None:
        for name, function in self._manifest.functions.items():
            if function.trigger.schedule:
                self._scheduler.register_job(name, partial(self._tick, name), function.trigger.schedule)
        self._scheduler.start()

    async def _run(self, request: Request, name: str) -> Response:
        """Fire a schedule now, as ``gcloud scheduler jobs run`` does."""
        if request.method != "POST":
            return _problem(405, "use POST")
        try:
            await self._scheduler.run_now(name)
        except LookupError:
            return _problem(404, f"{name} has no schedule")
        return Response(status_code=202)

    async def _tick(self, name: str, minute: datetime) -> None:
        url = f"{self._wiring.base_url}/{name}"
        headers = {
            "Authorization": f"Bearer {self._identity.sign(self._wiring.invoker, url)}",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": name,
            "X-CloudScheduler-ScheduleTime": minute.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }
        async with httpx.AsyncClient() as client:
            answer = await client.post(url, headers=headers, timeout=self._manifest.functions[name].timeout + 15)
        log.info("schedule of %s: %s", name, answer.status_code)


def _problem(status: int, detail: str) -> Response:
    return JSONResponse({"status": status, "detail": detail}, status, media_type="application/problem+json")


def application() -> Gateway:
    """The application of this process's environment; what uvicorn imports, again after each reload."""
    cloud = LocalCloud(Path(os.environ[ROOT_VARIABLE]))
    for name, value in cloud.environment().items():
        os.environ.setdefault(name, value)
    _keep_lines(cloud.root)
    wiring = Wiring.of(os.environ, os.environ[URL_VARIABLE])
    return Gateway(load(Path(os.environ[MANIFEST_VARIABLE])), Identity(cloud.root), wiring)


def _keep_lines(root: Path) -> None:
    """Keep every log line as Cloud Logging would get it, beside what a person reads."""
    path = lines_of(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=MAX_LINES_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal, or until the process that started us is gone."""
    parser = argparse.ArgumentParser(prog="python -m tools.gateway", description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(".local"), help="the local cloud's folder (default: .local)")
    parser.add_argument("--manifest", type=Path, default=Path("functions.json"), help="default: functions.json")
    parser.add_argument("--port", type=int, default=8080, help="default: 8080")
    parser.add_argument("--reload", action="store_true", help="start again when code or manifest change")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(arguments)
    kept: Path = options.root.resolve() / "gateway" / str(options.port) / "functions.json"
    try:
        check(options.manifest)
        LocalCloud(options.root).environment()
        keep(options.manifest, kept)
    except (BrokenManifestError, CloudError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, BrokenManifestError) else 1
    os.environ[ROOT_VARIABLE] = str(options.root.resolve())
    os.environ[MANIFEST_VARIABLE] = str(kept)
    os.environ[URL_VARIABLE] = f"http://127.0.0.1:{options.port}"
    if options.with_parent:
        threading.Thread(target=_stop_with_parent, daemon=True).start()
    stop = threading.Event()
    if options.reload:
        threading.Thread(target=follow, args=(options.manifest, kept, stop), daemon=True).start()
    uvicorn.run(
        "tools.gateway:application",
        factory=True,
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        log_level="warning",
        reload=options.reload,
        reload_dirs=["functions", "common", str(kept.parent)] if options.reload else None,
        reload_includes=[kept.name] if options.reload else None,
    )
    stop.set()
    return 0


def _stop_with_parent() -> None:
    """A pipe's end closes however its owner dies, SIGKILL included."""
    import signal  # noqa: PLC0415

    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
