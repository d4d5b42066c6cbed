"""Spans as log lines: OpenTelemetry's tracer where nothing else is exported. Imported at the first recorded span.

A line says what was done, below which span, for how long and whether it failed; `tools.trace` draws the tree again.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import (
    INVALID_SPAN_ID,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Tracer,
    TracerProvider,
    get_current_span,
    use_span,
)
from opentelemetry.trace.status import Status, StatusCode

from common.infrastructure.spans import write_span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span
    from opentelemetry.util.types import AnyValue, Attributes


class LineTracerProvider(TracerProvider):
    """Gives out tracers that write lines."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """The tracer; who asks for it makes no difference."""
        del instrumenting_module_name, instrumenting_library_version, schema_url, attributes
        return LineTracer()


class LineTracer(Tracer):
    """Makes spans that write a line when they end."""

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 - theirs
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 - theirs
    ) -> Span:
        """A span below the current one, or below ``context``'s; the first of a trace where there is none."""
        del kind, links, start_time, record_exception, set_status_on_exception
        return LineSpan(name, get_current_span(context).get_span_context(), attributes or {})

    @contextmanager
    def start_as_current_span(  # type: ignore[override] # theirs decorates coroutines too, which nobody here needs
        self, name: str, *args: Any, end_on_exit: bool = True, **options: Any
    ) -> Iterator[Span]:
        """`start_span`, current while the context lasts."""
        span = self.start_span(name, *args, **options)
        with use_span(span, end_on_exit, record_exception=False, set_status_on_exception=False):
            yield span


class LineSpan(NonRecordingSpan):
    """One span; thread-safe only as far as one caller needs.

    Args:
        name: what is being done; few different ones, no ids.
        parent: the span above, invalid for none.
        attributes: what more to say.
    """

    def __init__(self, name: str, parent: SpanContext, attributes: Mapping[str, AnyValue]) -> None:
        trace_id = parent.trace_id if parent.is_valid else int(secrets.token_hex(16), 16)
        super().__init__(SpanContext(trace_id, int(secrets.token_hex(8), 16), False, parent.trace_flags))  # noqa: FBT003
        self._name = name
        self._parent = f"{parent.span_id:016x}" if parent.span_id != INVALID_SPAN_ID else ""
        self._attributes = dict(attributes)
        self._failure: str | None = None
        self._began = time.perf_counter()
        self._ended = False

    def is_recording(self) -> bool:
        """Whether it still takes attributes."""
        return not self._ended

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Say more."""
        self._attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Say more."""
        self._attributes.update(attributes)

    def update_name(self, name: str) -> None:
        """Call it something else."""
        self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Note a failure."""
        code = status.status_code if isinstance(status, Status) else status
        if code is StatusCode.ERROR:
            told = status.description if isinstance(status, Status) else description
            self._failure = told or "failed"

    def end(self, end_time: int | None = None) -> None:
        """Write the line, once."""
        del end_time
        if self._ended:
            return
        self._ended = True
        took, own = time.perf_counter() - self._began, self.get_span_context()
        trace, identity = f"{own.trace_id:032x}", f"{own.span_id:016x}"
        write_span(self._name, trace, identity, self._parent, took, self._attributes, self._failure)
