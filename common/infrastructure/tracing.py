"""Traces (R37): OpenTelemetry's spans, below the span that each invocation is.

    with span("mail send", kind="invoice"):
        ...

A trace crosses every border as W3C ``traceparent``: HTTP headers, attributes of Pub/Sub messages, headers of tasks,
envelopes of the Redis queue. By default a span is a log line, and the invocation's own is its summary line: no network,
nothing to flush. A function that also wants them in Cloud Trace says ``export_traces()``, see
`common.infrastructure.otlp`.

Whoever begins a trace decides whether it is sampled: Google's front end for what comes from outside, few requests of
many; ours where nobody did, always. Of a trace that is not, an invocation's summary is written, and a span only if it
failed: the others would be a third of all log lines, and of a webhook's time. OpenTelemetry itself is imported at the
first span that is recorded.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import threading
import time
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from common.functions import context
from common.infrastructure.spans import write_span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

    from common.infrastructure.otlp import Exporter

Attribute = str | int | float | bool


class Unrecorded:
    """A span of a trace that is not sampled.

    Args:
        attributes: what is told of it if it fails.
    """

    def __init__(self, attributes: Mapping[str, Attribute]) -> None:
        self.attributes = dict(attributes)

    def set_attribute(self, key: str, value: Attribute) -> None:
        """Say more."""
        self.attributes[key] = value


_exporter: Exporter | None = None


def export_with(exporter: Exporter | None) -> None:
    """Send spans to ``exporter`` instead of writing lines; None for lines again."""
    global _exporter  # noqa: PLW0603 - one per process
    _exporter = exporter


@contextmanager
def span(name: str, **attributes: Attribute) -> Iterator[Span | Unrecorded]:
    """Measure what happens inside, as a part of the running invocation's trace.

    Args:
        name: what is being done; few different ones, no ids.
        **attributes: what more to say; never content, secrets or personal data.

    Example:
        >>> with span("pubsub publish", topic="payment-completed"):
        ...     await client.publish(...)
    """
    running = context.current()
    if running is not None and not running.sampled and _exporter is None:
        quiet, began = Unrecorded(attributes), time.perf_counter()
        try:
            yield quiet
        except Exception as error:
            identity, seconds = secrets.token_hex(8), time.perf_counter() - began
            write_span(name, running.trace, identity, running.span_id, seconds, quiet.attributes, type(error).__name__)
            raise
        return
    from opentelemetry.trace.status import Status, StatusCode  # noqa: PLC0415 - at the first span that is recorded

    with (
        _tracer().start_as_current_span(
            name, context=_above(), attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as started,
        context.within_span(f"{started.get_span_context().span_id:016x}"),
    ):
        try:
            yield started
        except Exception as error:
            # Its kind only: a message may repeat what was sent.
            started.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def invocation(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``function`` as the invocation's own span, where spans are exported; otherwise the summary line is that span."""
    exporter = _exporter
    if exporter is None:
        return function

    @functools.wraps(function)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        with exporter.invocation():
            return await function(*args, **kwargs)

    return traced


async def flush() -> None:
    """Send what has ended: the processor gets no time after the response. Nothing to do where spans are lines."""
    if _exporter is not None:
        await _exporter.flush()


class CloudTracing:
    """Spans for code that cannot use ``with``.

    Example:
        >>> tracing = CloudTracing()
        >>> tracing.start_span("import")
        >>> tracing.end_span()
    """

    def start_span(self, name: str, **attributes: Attribute) -> Span | Unrecorded:
        """Begin a span, current until `end_span` in the same task."""
        stack = ExitStack()
        started = stack.enter_context(span(name, **attributes))
        _open.set((*_open.get(), (stack, _owner())))
        return started

    def end_span(self) -> None:
        """End the innermost span that `start_span` began in this task.

        Raises:
            RuntimeError: there is none.
        """
        started = _open.get()
        # A task sees what is open above it, and must not end that: it is current in the other's context.
        if not started or started[-1][1] != _owner():
            raise RuntimeError("no span was started here")
        _open.set(started[:-1])
        started[-1][0].close()


_open: ContextVar[tuple[tuple[ExitStack, tuple[int, int]], ...]] = ContextVar("open_spans", default=())


def _owner() -> tuple[int, int]:
    """The running thread and task."""
    try:
        return threading.get_ident(), id(asyncio.current_task())
    except RuntimeError:  # no event loop runs here
        return threading.get_ident(), 0


def _tracer() -> Any:
    return (_exporter.provider if _exporter else _lines()).get_tracer("raptorflow")


@functools.cache
def _lines() -> TracerProvider:
    from common.infrastructure.span_lines import LineTracerProvider  # noqa: PLC0415 - imports OpenTelemetry

    return LineTracerProvider()


def _above() -> Context | None:
    """The invocation as OpenTelemetry's context, unless one of its spans is the current one."""
    from opentelemetry import trace  # noqa: PLC0415 - at the first span

    running = context.current()
    if running is None:
        return None
    current = trace.get_current_span().get_span_context()
    if current.is_valid and f"{current.trace_id:032x}" == running.trace:
        return None
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if running.sampled else trace.TraceFlags.DEFAULT)
    identity = trace.SpanContext(int(running.trace, 16), int(running.span_id, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(identity))
