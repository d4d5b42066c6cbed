"""Google's errors in our words, and how any error reaches Error Reporting (R38).

The vendor's own error is always the cause of ours:

RaptorFlowError
├── InvalidInput         the service refuses the request itself
├── Misconfigured        we have no credentials
├── Unavailable          down, slow, throttling; or no token now for the credentials that we have
├── NotFound             the topic, queue, object … does not exist
├── AlreadyExists        what was to be created only is there already
└── PermissionDenied     our service account may not
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from common.errors import InvalidInput, Misconfigured, RaptorFlowError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

log = logging.getLogger("raptorflow.error")

REPORTED = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"
"""Makes Error Reporting take a line even where it finds no stack trace in it."""


class NotFound(RaptorFlowError):  # noqa: N818 - the field's own word
    """The named resource does not exist."""


class AlreadyExists(RaptorFlowError):  # noqa: N818
    """The name is taken: the task was created, or the object was stored, before."""


class PermissionDenied(RaptorFlowError):  # noqa: N818
    """Our service account lacks a role."""


_THROTTLED = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
"""BigQuery and Storage say so with 403, as if it were forbidden. https://cloud.google.com/bigquery/docs/error-messages"""


_NO_TOKEN = "Getting metadata from plugin failed"  # noqa: S105 - gRPC's words where a client gets no token
_NO_CREDENTIALS = (
    "no credentials of Google that can be used: deploy with a service account; elsewhere run "
    "`gcloud auth application-default login`, or name an emulator"
)
_NOT_REFRESHED = (
    "Google gives no token for our credentials: see that the service account is there and enabled; elsewhere run "
    "`gcloud auth application-default login` again"
)


def translate(error: Exception, what: str) -> RaptorFlowError:
    """Our error for one of Google's, of its authentication library too; ``what`` was being done."""
    from google.api_core import exceptions as google  # noqa: PLC0415 - loaded by whoever raised it
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError  # noqa: PLC0415

    if isinstance(error, DefaultCredentialsError):
        return Misconfigured(f"{what}: {type(error).__name__}, {_NO_CREDENTIALS}")
    if isinstance(error, GoogleAuthError) or lacks_token(error):
        return Unavailable(f"{what}: {type(error).__name__}, {_NOT_REFRESHED}")
    kinds: list[tuple[tuple[type[Exception], ...], type[RaptorFlowError]]] = [
        ((google.Aborted,), Unavailable),  # a Conflict to the library, but nothing is there: others were at it, too
        ((google.NotFound,), NotFound),
        ((google.AlreadyExists, google.Conflict, google.PreconditionFailed), AlreadyExists),
        ((google.Forbidden, google.Unauthorized), PermissionDenied),
        ((google.BadRequest,), InvalidInput),
    ]
    ours = next((ours for theirs, ours in kinds if isinstance(error, theirs)), Unavailable)
    if isinstance(error, google.Forbidden) and any(_reason(said) in _THROTTLED for said in error.errors):
        ours = Unavailable
    if ours is Unavailable:
        return Unavailable(f"{what}: {type(error).__name__}", _retry_after(error))
    return ours(f"{what}: {type(error).__name__}")


def _reason(said: Any) -> str:
    """Of one of the parts of an error, which over gRPC is the call's own error and names none."""
    return str(said.get("reason", "")) if isinstance(said, dict) else ""


def lacks_token(error: Exception) -> bool:
    """Whether a call over gRPC failed because there was no token for it; the library has tried again by then."""
    return _NO_TOKEN in str(error)


def _retry_after(error: Exception) -> float | None:
    """When the service says that another try makes sense: by HTTP's header, or by gRPC's RetryInfo."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    told = str(headers.get("retry-after") or headers.get("Retry-After") or "")
    if told.isdecimal():
        return float(told)
    infos = (detail for detail in getattr(error, "details", ()) if hasattr(detail, "retry_delay"))
    return next((info.retry_delay.seconds + info.retry_delay.nanos / 1e9 for info in infos), None)


class ErrorReporting:
    """Errors for Cloud Error Reporting, which reads them from log lines; its client costs 2.5 times a cold start.

    What a function raises is reported by the runtime. This is for errors that are handled, and for scripts.

    Example:
        >>> await ErrorReporting().report_error(error, {"workspace_id": workspace_id})
    """

    async def report_error(self, error: BaseException, context: Mapping[str, Any] | None = None) -> None:
        """Write ``error`` with its stack trace, and ``context`` beside it, redacted as every line is."""
        _report(error, context or {})

    def configure_error_reporting(self) -> None:
        """Report what nobody catches: in this thread, in others, and in tasks of the event loop that runs, if any.

        For scripts: ``serve`` reports for functions. The two hooks that were there are called as well; a loop's own
        handler is replaced.
        """
        before, before_in_threads = sys.excepthook, threading.excepthook

        def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if not isinstance(error, KeyboardInterrupt):
                _report(error, {})
            before(kind, error, trace)

        def uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
            if found.exc_value is not None:
                _report(found.exc_value, {"thread": found.thread.name if found.thread else ""})
            before_in_threads(found)

        sys.excepthook, threading.excepthook = uncaught, uncaught_in_thread
        try:
            asyncio.get_running_loop().set_exception_handler(_unhandled)
        except RuntimeError:
            return  # no loop runs: there are no tasks


def _unhandled(loop: asyncio.AbstractEventLoop, said: dict[str, Any]) -> None:
    if isinstance(error := said.get("exception"), BaseException):
        _report(error, {"task": said.get("message", "")})
    else:
        loop.default_exception_handler(said)


def _report(error: BaseException, context: Mapping[str, Any]) -> None:
    service = {"service": os.environ.get("K_SERVICE", "raptorflow"), "version": os.environ.get("K_REVISION", "")}
    log.error(
        "%s",
        type(error).__name__,
        extra={"fields": {"@type": REPORTED, "serviceContext": service, **context}},
        exc_info=(type(error), error, error.__traceback__),
    )
