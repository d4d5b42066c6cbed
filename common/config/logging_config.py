"""Log lines (R67): JSON for Cloud Logging where deployed, readable text in development; the standard library only.

Cloud Logging's client would cost 2.4 times a bare cold start (measured), and Error Reporting reads stack traces from
the same lines.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

from common.config.environment import Environment, environment, setting
from common.config.redaction import read_secrets, redact, scrub
from common.functions import context

MAX_LINE = 200_000
"""Bytes; Cloud Logging refuses entries above 256 KB, and what it adds to a line counts, too."""
MAX_TEXT = 60_000
"""Bytes that the message, and the message with its stack trace, have in a line that would be longer."""
MAX_FIELD = 4_000
"""Bytes that any other value, and one line of a stack trace, has in such a line."""
_TALKATIVE = ("httpx", "httpcore", "apscheduler", "fontTools", "fpdf")
"""Libraries that report every call, or every glyph, at INFO."""
_FOR_MACHINES = ("httpRequest", "span", "@type", "serviceContext", "context")
"""Fields that a readable line leaves out."""
_ENCODER = json.JSONEncoder(default=str, ensure_ascii=False, check_circular=False)
"""What `redact` returns has an end; looking for circles costs a fifth."""
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""What ends a line, or moves a terminal's cursor to another one; a tab does not."""
_OWN = ("severity", "message", "time", "logger", "stack_trace")
"""With Google's own names, what every line has; the rest are the caller's fields."""
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
    deployed = bool(os.environ.get("K_SERVICE")) or environment() is not Environment.DEV
    handler.setFormatter(JsonFormatter() if deployed else TextFormatter())
    root.addHandler(handler)
    general, *exceptions = setting("LOG_LEVEL").split(",")
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
        message, trace = record.getMessage(), _trace(record)
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
        written = _writable(scrub(_ENCODER.encode(line)))
        if len(written) * 4 > MAX_LINE and (size := len(written.encode())) > MAX_LINE:  # a character has 1 to 4 bytes
            if trace:
                line["stack_trace"] = f"{_cut(message, MAX_FIELD)}\n{_cut_trace(trace)}"
            written = _writable(scrub(_ENCODER.encode(_shortened(line, size))))
        return written


class TextFormatter(logging.Formatter):
    """One readable line, a stack trace below it; only a record begins at the left margin."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = {**context.fields(), **redact(getattr(record, "fields", {}))}
        for key in _FOR_MACHINES:
            fields.pop(key, None)
        said = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{clock} {record.levelname:<7} {record.name}: {record.getMessage()}{'  ' + said if said else ''}"
        below = _cut_trace(_trace(record)).splitlines()
        return _writable(scrub("\n  ".join(map(_one_line, [_cut(line, MAX_TEXT), *below]))))


def _writable(line: str) -> str:
    """Half a character, which JSON may carry and no encoding takes, as its escape."""
    return line if line.isascii() else line.encode("utf-8", "backslashreplace").decode()


@functools.lru_cache(maxsize=1)  # of many lines in a second
def _second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    text = logging.Formatter().formatException(record.exc_info)
    # Postgres repeats the row's values in its errors' details.
    kept = [line for line in text.splitlines() if not line.startswith(("DETAIL:", "CONTEXT:"))]
    return "\n".join(kept)


def _one_line(text: str) -> str:
    """What could begin another line as its escape."""
    return text if text.isprintable() else _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _shortened(line: dict[str, Any], size: int) -> dict[str, Any]:
    """A line that has too many bytes, cut: its own parts first, then as many fields as there is room for."""
    kept: dict[str, Any] = {}
    room = MAX_LINE
    for name in sorted(line, key=lambda name: name not in _OWN and not name.startswith("logging.googleapis.com/")):
        value, most = line[name], MAX_TEXT if name in _OWN else MAX_FIELD
        if _size(value) > most:
            value = _cut(value if isinstance(value, str) else _ENCODER.encode(value), most)
        if (needed := _size({name: value})) <= room:
            kept[name] = value
            room -= needed
    return {**kept, "truncated": f"the line had {size} bytes; {len(line) - len(kept)} fields are left out"}


def _cut_trace(trace: str) -> str:
    """A stack trace with its first and its last frames, and the beginning and the end of an endless line in it."""
    return _cut("\n".join(_cut(line, MAX_FIELD) for line in trace.split("\n")), MAX_TEXT - MAX_FIELD)


def _cut(text: str, most: int) -> str:
    """The beginning and the end of a text that has more than ``most`` bytes in JSON, saying how much is missing."""
    size = _size(text)
    if size <= most:
        return text
    text = shorter = scrub(text)  # before it is cut, for half a secret looks like none
    half = len(text) // 2
    while (size := _size(shorter)) > most:
        half = half * most // size
        shorter = f"{text[:half]} [... {len(text) - 2 * half} characters cut ...] {text[len(text) - half :]}"
    return shorter


def _size(value: Any) -> int:
    return len(_writable(_ENCODER.encode(value)).encode())


def _level(name: str) -> int:
    return logging.getLevelNamesMapping().get(name.strip().upper(), logging.INFO)
