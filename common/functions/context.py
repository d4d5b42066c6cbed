"""Who is asking: the request's identifiers, carried to every log line and onwards to every message.

The trace comes from the W3C ``traceparent`` header, else from ``X-Cloud-Trace-Context`` (Google's front end sets both;
this order is google-cloud-logging's), else it starts here. A Pub/Sub message carries its publisher's in an attribute.
The spans inside of an invocation are `common.infrastructure.tracing`'s, which says here which one is the current.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_CLOUD_TRACE = re.compile(r"(?!0{32})([0-9a-f]{32})(?:/([0-9]{1,20}))?(?:;o=([01]))?", re.IGNORECASE)
_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class RequestContext:
    """One invocation.

    Attributes:
        function: the function's name, ``event_on_phonepe_event``.
        trace: 32 hexadecimal digits, the same from the webhook to the mail.
        span_id: 16 hexadecimal digits, this invocation's own.
        parent_id: the caller's span; empty where the trace starts here.
        sampled: whether the trace is recorded: whoever began it has decided; one that begins here is.
        execution_id: Google's id of the invocation, empty elsewhere.
        event_id: the CloudEvent's id, once it is known.
        outcome: how it ended: done, rejected, retry, drop, failed or disconnected.
        reason: why, where it did not end well; never what the caller sent.
    """

    function: str
    trace: str
    span_id: str
    sampled: bool
    execution_id: str
    parent_id: str = ""
    event_id: str = ""
    outcome: str = "done"
    reason: str = ""

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], *, function: str) -> RequestContext:
        """Read the identifiers of a request; anything malformed counts as absent."""
        execution_id = headers.get("function-execution-id", "")
        context = cls(
            function=function,
            trace="",
            span_id=secrets.token_hex(8),
            sampled=False,
            execution_id=execution_id if _EXECUTION_ID.fullmatch(execution_id) else "",
        )
        if not context.continue_trace(headers.get("traceparent")):
            found = _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", ""))
            context.trace = found[1].lower() if found else secrets.token_hex(16)
            context.parent_id = f"{int(found[2]) % 2**64:016x}" if found and found[2] else ""
            context.sampled = found is None or found[3] == "1"
        return context

    def continue_trace(self, traceparent: str | None) -> bool:
        """Join the trace that ``traceparent`` names; False, and no change, where it is absent or malformed."""
        found = _TRACEPARENT.fullmatch(traceparent or "")
        if found is None:
            return False
        self.trace, self.parent_id = found[1], found[2]
        self.sampled = bool(int(found[3], 16) & 1)
        return True

    @property
    def traceparent(self) -> str:
        """What a message or request made by this invocation carries (W3C Trace Context, version 00)."""
        return f"00-{self.trace}-{_span.get() or self.span_id}-{'01' if self.sampled else '00'}"


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
_span: ContextVar[str] = ContextVar("span_id", default="")


def current() -> RequestContext | None:
    """The running invocation, or None outside of one."""
    return _current.get()


def span_id() -> str:
    """The innermost span's id; empty outside of an invocation."""
    running = _current.get()
    return _span.get() or (running.span_id if running else "")


@contextmanager
def within_span(identity: str) -> Iterator[None]:
    """Make the span of that id the innermost one for everything called or started inside."""
    token = _span.set(identity)
    try:
        yield
    finally:
        _span.reset(token)


def fields() -> dict[str, Any]:
    """What every log line of the invocation is labelled with; empty outside of one."""
    context = _current.get()
    if context is None:
        return {}
    labels = {"function": context.function, "execution_id": context.execution_id, "event_id": context.event_id}
    return {key: value for key, value in labels.items() if value}


@contextmanager
def bind(context: RequestContext) -> Iterator[None]:
    """Make ``context`` the running invocation for everything called or started inside."""
    token, span = _current.set(context), _span.set("")
    try:
        yield
    finally:
        _span.reset(span)
        _current.reset(token)
