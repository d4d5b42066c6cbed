"""Log lines (R67): JSON for Cloud Logging where deployed, readable text in development; the standard library only.

Cloud Logging's client would cost 2.4 times a bare cold start (measured), and Error Reporting reads stack traces from
the same lines.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from common.config.redaction import read_secrets, redact, scrub
from common.functions import context

MAX_MESSAGE = 64 * 1024
"""Characters; Cloud Logging refuses entries above 256 KB."""
_TALKATIVE = ("httpx", "httpcore", "apscheduler", "fontTools", "fpdf")
"""Libraries that report every call, or every glyph, at INFO."""
_FOR_MACHINES = ("httpRequest", "span", "@type", "serviceContext", "context")
"""Fields that a readable line leaves out."""
_ENCODER = json.JSONEncoder(default=str, ensure_ascii=False)
_SEVERITIES = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR"}


def configure_logging() -> None:
    """Send all log records to standard output, once per process.

    ``LOG_LEVEL`` is a level, or a level and exceptions to it: ``INFO,common.redis=DEBUG``.
    """
    root = logging.getLogger()
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # a fifth of a record, never shown
    read_secrets()
    if any(isinstance(handler, _Handler) for handler in root.handlers):
        return
    handler = _Handler(sys.stdout)
    deployed = bool(os.environ.get("K_SERVICE")) or os.environ.get("ENVIRONMENT", "dev") != "dev"
    handler.setFormatter(JsonFormatter() if deployed else TextFormatter())
    root.addHandler(handler)
    general, *exceptions = os.environ.get("LOG_LEVEL", "INFO").split(",")
    root.setLevel(_level(general))
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    for exception in exceptions:
        module, _, level = exception.partition("=")
        logging.getLogger(module.strip()).setLevel(_level(level))


class _Handler(logging.StreamHandler[Any]):
    """Ours, so that it is recognised and not added twice."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say that a record could not be written, and where; logging's own way shows its arguments as they are."""
        kind = getattr(sys.exc_info()[0], "__name__", "")
        told = {"severity": "ERROR", "message": f"a log record could not be written: {kind}", "logger": record.name}
        sys.stderr.write(_ENCODER.encode({**told, "file": record.pathname, "line": record.lineno}) + "\n")


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the fields that Cloud Logging and Error Reporting know."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        message, trace = _message(record), _trace(record)
        line: dict[str, Any] = {
            "severity": _SEVERITIES.get(record.levelno, "CRITICAL"),
            "message": message,
            "time": f"{_second(int(record.created))}.{int(record.created % 1 * 1_000_000):06}Z",
            "logging.googleapis.com/sourceLocation": {
                "file": record.pathname,
                "line": str(record.lineno),
                "function": record.funcName,
            },
            "logger": record.name,
        }
        # A field never stands for the record's own: a caller's ``severity`` would be Cloud Logging's.
        for name, value in redact(getattr(record, "fields", {})).items():
            line[f"{name}_" if name in line else name] = value
        running = context.current()
        identity = getattr(record, "trace", None) or (running.trace if running else "")
        if identity:
            project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
            line["logging.googleapis.com/trace"] = f"projects/{project}/traces/{identity}"
            line["logging.googleapis.com/spanId"] = getattr(record, "span_id", None) or context.span_id()
        if running is not None:
            line["logging.googleapis.com/trace_sampled"] = running.sampled
            line["logging.googleapis.com/labels"] = context.fields()
        if trace:
            line["stack_trace"] = f"{message}\n{trace}"
        return _writable(scrub(_ENCODER.encode(line)))


class TextFormatter(logging.Formatter):
    """One readable line, a stack trace below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = {**context.fields(), **redact(getattr(record, "fields", {}))}
        for key in _FOR_MACHINES:
            fields.pop(key, None)
        said = " ".join(f"{key}={value}" for key, value in fields.items())
        trace = _trace(record)
        line = f"{clock} {record.levelname:<7} {record.name}: {_message(record)}{'  ' + said if said else ''}"
        return _writable(scrub(f"{line}\n{trace}" if trace else line))


def _writable(line: str) -> str:
    """Half a character, which JSON may carry and no encoding takes, as its escape."""
    return line if line.isascii() else line.encode("utf-8", "backslashreplace").decode()


@functools.lru_cache(maxsize=1)  # of many lines in a second
def _second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _message(record: logging.LogRecord) -> str:
    return record.getMessage()[:MAX_MESSAGE]


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    text = logging.Formatter().formatException(record.exc_info)
    # Postgres repeats the row's values in its errors' details.
    kept = [line for line in text.splitlines() if not line.startswith(("DETAIL:", "CONTEXT:"))]
    return "\n".join(kept)[-MAX_MESSAGE:]


def _level(name: str) -> int:
    return logging.getLevelNamesMapping().get(name.strip().upper(), logging.INFO)
