"""The last line of every ``main.py``: ``main = serve(the_function)``.

One plain ``async def`` for every trigger, registered with the stock functions-framework, which serves it on uvloop and
httptools. Per request: bind the identifiers and the deadline, check the method and the caller, read within bounds, let
the decorator's adapter parse and call, map the outcome, and write one summary line.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NoReturn, cast

import functions_framework.aio
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response

from common.config.logging_config import configure_logging
from common.config.redaction import Known
from common.errors import Unavailable
from common.functions import context, deadline, problem, shutdown
from common.functions.caller import admit
from common.functions.outcomes import Rejected, Retry
from common.functions.request import Request, bounded_headers, read_body
from common.functions.spec import FunctionSpec, spec_of
from common.infrastructure import tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

log = logging.getLogger("raptorflow.request")

_LEVELS = {"done": logging.INFO, "disconnected": logging.INFO, "failed": logging.ERROR}


def serve(function: Callable[..., Any]) -> Callable[[StarletteRequest], Awaitable[Response]]:
    """Wrap a decorated function for the stock ``functions-framework --target main`` command.

    Raises:
        TypeError: the function is not decorated.

    Example:
        >>> main = serve(on_foundation_updated)
    """
    spec = spec_of(function)
    # A job's function says what it is (R46: ``generate_invoice_job``); the deployed name says it once.
    said = function.__name__.removesuffix("_job") if spec.kind == "job" else function.__name__
    name = f"{spec.kind}-{said.replace('_', '-')}"
    import_seconds = time.process_time()
    configure_logging()
    cold = True

    async def main(request: StarletteRequest) -> Response:
        nonlocal cold
        started, was_cold, cold = time.monotonic(), cold, False
        shutdown.install()
        running = context.RequestContext.from_headers(_names(request.scope["headers"]), function=name)
        with context.bind(running):
            failure: Exception | None = None
            try:
                response = await _answer(spec, function, request, running)
            except Exception as error:  # noqa: BLE001 - the last resort: logged with its stack, answered without a word
                running.outcome, running.reason, failure = "failed", type(error).__name__, error
                response = Response(status_code=500)
            _summarise(request, response, running, failure, started, import_seconds if was_cold else None)
        return response

    return cast("Callable[[StarletteRequest], Awaitable[Response]]", functions_framework.aio.http(main))


def _names(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The first header of each name: Starlette looks through all of them for each that is asked for."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(raw)}


async def _answer(
    spec: FunctionSpec, function: Callable[..., Any], request: StarletteRequest, running: context.RequestContext
) -> Response:
    asked: Request | None = None
    try:
        async with deadline.within(max(0.5, spec.timeout - deadline.MARGIN_SECONDS)):
            if request.method not in spec.methods:
                _refuse_method(spec)
            asked = await _read(spec, request)
            try:
                adapter, called = spec.adapter, function
                if spec.kind == "api":  # its function makes an application, and is not called for each request
                    adapter = tracing.invocation(adapter)
                else:
                    called = tracing.invocation(function)
                return await adapter(called, asked)
            finally:
                await tracing.flush()
    except (Rejected, Retry, Unavailable) as error:
        if asked is None and isinstance(error, deadline.DeadlineExceeded):
            error = Rejected(408, "the body did not come in time")  # a stranger's doing, and no stranger gets 5xx
        return problem.answer(error, running, methods=spec.methods)
    except ClientDisconnect:
        running.outcome, running.reason = "disconnected", "the caller left before its body was read"
        return Response(status_code=problem.CLIENT_CLOSED_REQUEST)


def _refuse_method(spec: FunctionSpec) -> NoReturn:
    raise Rejected(405, f"use {' or '.join(spec.methods)}")


async def _read(spec: FunctionSpec, request: StarletteRequest) -> Request:
    headers = bounded_headers(request.headers.raw)
    caller = "" if spec.caller == "anyone" else admit(headers, only_trigger=spec.caller == "trigger")
    return Request(
        method=request.method,
        path=request.scope["path"],
        query=request.scope["query_string"].decode("latin-1"),
        headers=headers,
        body=await read_body(request, spec.max_body),
        root_path=request.scope.get("root_path", ""),
        caller=caller,
    )


def _summarise(
    request: StarletteRequest,
    response: Response,
    running: context.RequestContext,
    failure: Exception | None,
    started: float,
    import_seconds: float | None,
) -> None:
    level = _LEVELS.get(running.outcome, logging.WARNING)
    if not log.isEnabledFor(level):
        return
    seconds = time.monotonic() - started
    fields = Known(
        httpRequest={
            "requestMethod": request.method,
            "status": response.status_code,
            "latency": f"{seconds:.6f}s",
        },
        outcome=running.outcome,
        span={"name": running.function, "parent": running.parent_id, "seconds": round(seconds, 6)},
    )
    if running.reason:
        fields["reason"] = running.reason
    if import_seconds is not None:
        fields |= {"cold_start": True, "import_ms": round(import_seconds * 1000)}
    because = f" ({running.reason})" if running.reason else ""
    message = f"{request.method} {running.function} {response.status_code}: {running.outcome}{because}"
    # Made by hand: looking for the caller, who is always this line, takes as long as writing.
    trace = (type(failure), failure, failure.__traceback__) if failure else None
    record = logging.LogRecord(log.name, level, __file__, _LINE, message, (), trace, _summarise.__name__)
    record.__dict__["fields"] = fields
    log.handle(record)


_LINE = _summarise.__code__.co_firstlineno
