"""``@endpoint``: pages and multi-route APIs for people and probes, as an ordinary Flask application.

Flask brings routing, Jinja and its test client; a2wsgi runs it on threads beside the serving loop, so that there is one
runtime for every trigger. A view reaches the asynchronous services with `wait_for`, and may raise what every function
may: `Rejected`, `Retry`, `Unavailable`.
"""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from starlette.responses import Response

from common.errors import Unavailable
from common.functions import context, deadline, problem
from common.functions.outcomes import Rejected, Retry
from common.functions.spec import FunctionSpec, Resources, attach

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from a2wsgi import WSGIMiddleware
    from flask import Flask

    from common.functions.request import Request

T = TypeVar("T")
Application = TypeVar("Application", bound="Callable[[], Flask]")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
THREADS = 10
ANSWER_SECONDS = 0.5
"""Kept back from what a view may wait, so that it can still answer before the invocation's deadline."""

_loop: ContextVar[asyncio.AbstractEventLoop] = ContextVar("serving_loop")
_caller: ContextVar[str] = ContextVar("caller")


def endpoint(
    *, public: bool = False, timeout: int = 30, **_: Unpack[Resources]
) -> Callable[[Application], Application]:
    """Serve the Flask application that the function makes; it is made once per process, at the first request.

    Args:
        public: open to everyone; otherwise to whoever IAM admits (operators, uptime checks). A view finds the caller's
            e-mail in ``request.environ["REMOTE_USER"]``.
        timeout: seconds.
        **_: see `Resources`.

    Example:
        >>> @endpoint(timeout=10)
        ... def health() -> Flask:
        ...     app = Flask(__name__)
        ...     app.get("/health")(lambda: {"status": "ok"})
        ...     return app
    """
    return attach(
        FunctionSpec(
            kind="api",
            timeout=timeout,
            adapter=_call,
            caller="anyone" if public else "admitted",
            methods=METHODS,
        )
    )


def wait_for(work: Coroutine[Any, Any, T], *, seconds: float = 30) -> T:
    """Run ``work`` on the serving loop and wait for it, from a view.

    Raises:
        Unavailable: it took longer than ``seconds`` or than the invocation may; it is cancelled.

    Example:
        >>> @app.get("/stats")
        ... def stats() -> dict[str, Any]:
        ...     return wait_for(read_stats())
    """
    working = asyncio.run_coroutine_threadsafe(work, _loop.get())
    try:
        return working.result(deadline.remaining(seconds + ANSWER_SECONDS) - ANSWER_SECONDS)
    except TimeoutError:
        if working.done():  # its own, not ours
            raise
        working.cancel()
        raise Unavailable("what the view waited for took too long") from None


async def _call(function: Callable[..., Any], request: Request) -> Response:
    _loop.set(asyncio.get_running_loop())  # a2wsgi copies the context into its thread
    _caller.set(request.caller)
    response = await _through(_application(function), request)
    running = context.current()
    if running is not None and running.outcome == "done" and response.status_code >= 500:
        running.outcome = "failed"  # Flask has answered for the view, and logged why
    return response


@functools.cache
def _application(function: Callable[[], Flask]) -> WSGIMiddleware:
    from a2wsgi import WSGIMiddleware  # noqa: PLC0415 - only api functions install it

    application = function()
    for kind in (Rejected, Retry, Unavailable):
        application.register_error_handler(kind, _answer)

    def with_caller(environ: Any, start_response: Any) -> Any:
        environ["REMOTE_USER"] = _caller.get()
        return application(environ, start_response)

    return WSGIMiddleware(cast("Any", with_caller), workers=THREADS)


def _answer(error: Rejected | Retry | Unavailable) -> tuple[bytes, int, dict[str, str]]:
    response = problem.answer(error, context.current())
    return bytes(response.body), response.status_code, dict(response.headers)


async def _through(application: WSGIMiddleware, request: Request) -> Response:
    response = Response()
    chunks: list[bytes] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            response.status_code = message["status"]
            response.raw_headers = list(message["headers"])
        else:
            chunks.append(message.get("body", b""))

    await application(_scope(request), receive, send)
    response.body = b"".join(chunks)
    return response


def _scope(request: Request) -> Any:
    headers = [(name, value) for name, value in request.headers.raw if name != b"content-length"]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "https",
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": request.root_path,
        "query_string": request.query.encode("ascii", "ignore"),
        # Read and counted by now; WSGI takes a body of unknown length for none.
        "headers": [*headers, (b"content-length", str(len(request.body)).encode())],
    }
