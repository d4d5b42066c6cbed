"""Spans sent on by OTLP, to Cloud Trace or any collector: opt-in, since the SDK makes cold starts dearer.

A function says so in its ``main.py``, which adds the dependency group ``otlp`` to it:

    export_traces(ratio=0.1)
    main = serve(on_payment_completed)

``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector; without it spans go to Google's Telemetry API, with the function's
own identity (``roles/telemetry.tracesWriter``). What is sampled is sent before the response: after it there is no CPU.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from common.errors import InvalidInput
from common.functions import context
from common.functions.deadline import remaining
from common.infrastructure.gcp import GCPClient
from common.infrastructure.tracing import export_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
"""That an answer waits for its spans to be taken, at most."""
GOOGLE = "https://telemetry.googleapis.com/v1/traces"

_starting: ContextVar[context.RequestContext | None] = ContextVar("starting", default=None)


def export_traces(ratio: float = 0.1) -> None:
    """Export the spans of this function.

    Args:
        ratio: of the traces that begin here; those that come from elsewhere are exported if they are there.

    Raises:
        InvalidInput: the ratio is not between 0 and 1.
    """
    if not 0 <= ratio <= 1:
        raise InvalidInput("the ratio of traces to export is between 0 and 1")
    export_with(Exporter(ratio))


class Exporter:
    """The SDK's tracer and what sends its spans; made at the first invocation, in the process that serves."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    @functools.cached_property
    def provider(self) -> TracerProvider:
        """The SDK's tracer provider."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - all of it at the first invocation
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

        class Ids(RandomIdGenerator):
            """Gives an invocation's span the ids that its log lines carry."""

            def generate_trace_id(self) -> int:
                starting = _starting.get()
                return int(starting.trace, 16) if starting else super().generate_trace_id()

            def generate_span_id(self) -> int:
                starting = _starting.get()
                return int(starting.span_id, 16) if starting else super().generate_span_id()

        resource = Resource.create(
            {
                "service.name": os.environ.get("K_SERVICE", "raptorflow"),
                "service.version": os.environ.get("K_REVISION", ""),
                "gcp.project_id": GCPClient().get_project_id(),
            }
        )
        provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(self._ratio), resource=resource, id_generator=Ids(), shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=FLUSH_SECONDS, **_destination())))
        return provider

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """The running invocation as a span, with the ids that its log lines carry."""
        from opentelemetry import trace  # noqa: PLC0415 - at the first invocation
        from opentelemetry.context import Context  # noqa: PLC0415

        running = context.current()
        if running is None:
            yield
            return
        above = Context()
        if running.parent_id:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if running.sampled else trace.TraceFlags.DEFAULT)
            parent = trace.SpanContext(
                int(running.trace, 16), int(running.parent_id, 16), is_remote=True, trace_flags=flags
            )
            above = trace.set_span_in_context(trace.NonRecordingSpan(parent), above)
        token = _starting.set(running)
        try:
            tracer = self.provider.get_tracer("raptorflow")
            started = tracer.start_span(running.function, context=above, kind=trace.SpanKind.SERVER)
        finally:
            _starting.reset(token)
        running.sampled = started.get_span_context().trace_flags.sampled
        with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except Exception as error:
                started.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
                raise

    async def flush(self) -> None:
        """Send what has ended, within `FLUSH_SECONDS`; a collector that is down costs its spans, not the answer."""
        running = context.current()
        if running is not None and running.sampled:
            sending = asyncio.to_thread(self.provider.force_flush)  # which takes a time-out and does not keep to it
            try:
                async with asyncio.timeout(remaining(FLUSH_SECONDS)):
                    await sending
            except TimeoutError:
                log.warning("the collector took no spans within %.1f s", FLUSH_SECONDS)


def _destination() -> dict[str, Any]:
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return {}  # the exporter reads it
    import google.auth  # noqa: PLC0415
    from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415

    credentials, _project = google.auth.default(scopes=["https://www.googleapis.com/auth/trace.append"])
    return {
        "endpoint": GOOGLE,
        "session": AuthorizedSession(credentials),  # type: ignore[no-untyped-call] # the library's
        "headers": {"x-goog-user-project": GCPClient().get_project_id()},
    }
