"""Logging, Trace and Error Reporting: what is written is kept, and entries can be read back.

Functions call none of them: they write lines. These are for tools that do, and for the proof that the libraries' calls
arrive.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from google.cloud.errorreporting_v1beta1 import types as errors
from google.cloud.logging_v2 import types as logs
from google.cloud.trace_v2 import types as traces

from tools.local.rpc import invalid, unary

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc

    from tools.local.rpc import Context

KEPT = 10_000
MAX_ENTRY_BYTES = 262_144
"""Of one log entry. Source: https://cloud.google.com/logging/quotas"""


class Logging:
    """Answers the RPCs of log entries."""

    NAME = "google.logging.v2.LoggingServiceV2"

    def __init__(self) -> None:
        self._entries: deque[logs.LogEntry] = deque(maxlen=KEPT)

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """By name."""
        return {
            "WriteLogEntries": unary(logs.WriteLogEntriesRequest, logs.WriteLogEntriesResponse, self.write),
            "ListLogEntries": unary(logs.ListLogEntriesRequest, logs.ListLogEntriesResponse, self.list),
        }

    async def write(self, request: logs.WriteLogEntriesRequest, _: Context) -> logs.WriteLogEntriesResponse:
        """Keep entries, with what the request says of all of them."""
        for given in request.entries:
            entry = logs.LogEntry(given)
            entry.log_name = entry.log_name or request.log_name
            if not entry.log_name.startswith("projects/"):
                raise invalid("The log_name of an entry must name its project.")
            if len(logs.LogEntry.serialize(entry)) > MAX_ENTRY_BYTES:
                raise invalid(f"Log entry with size above {MAX_ENTRY_BYTES} bytes.")
            self._entries.append(entry)
        return logs.WriteLogEntriesResponse()

    async def list(self, request: logs.ListLogEntriesRequest, _: Context) -> logs.ListLogEntriesResponse:
        """A project's entries, oldest first; filters are not read."""
        if request.filter:
            raise invalid("The local Cloud Logging reads no filters.")
        names = tuple(f"{name}/" for name in request.resource_names)
        return logs.ListLogEntriesResponse(
            entries=[entry for entry in self._entries if entry.log_name.startswith(names)]
        )


class Traces:
    """Answers the RPCs of spans."""

    NAME = "google.devtools.cloudtrace.v2.TraceService"

    def __init__(self) -> None:
        self._spans: deque[traces.Span] = deque(maxlen=KEPT)

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """By name."""
        return {
            "BatchWriteSpans": unary(traces.BatchWriteSpansRequest, None, self.write),
            "CreateSpan": unary(traces.Span, traces.Span, self.create),
        }

    async def write(self, request: traces.BatchWriteSpansRequest, _: Context) -> None:
        """Keep spans."""
        for span in request.spans:
            await self.create(span, _)

    async def create(self, span: traces.Span, _: Context) -> traces.Span:
        """Keep one."""
        if not span.name.endswith(f"/spans/{span.span_id}") or not span.display_name.value:
            raise invalid("A span needs a name that ends with its id, and a display_name.")
        self._spans.append(span)
        return span


class ErrorReports:
    """Answers the RPCs of error events."""

    NAME = "google.devtools.clouderrorreporting.v1beta1.ReportErrorsService"

    def __init__(self) -> None:
        self._events: deque[errors.ReportedErrorEvent] = deque(maxlen=KEPT)

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """By name."""
        return {
            "ReportErrorEvent": unary(errors.ReportErrorEventRequest, errors.ReportErrorEventResponse, self.report),
        }

    async def report(self, request: errors.ReportErrorEventRequest, _: Context) -> errors.ReportErrorEventResponse:
        """Keep an event that says where it happened."""
        event = request.event
        if not event.service_context.service:
            raise invalid("ReportedErrorEvent.service_context.service is required.")
        located = event.context.report_location.file_path
        if not located and "Traceback (most recent call last)" not in event.message:
            raise invalid("ReportedErrorEvent.context must contain a location unless `message` contain a stack trace.")
        self._events.append(event)
        return errors.ReportErrorEventResponse()
