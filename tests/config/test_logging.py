"""Log lines that Cloud Logging and Error Reporting can read, and that tell no secrets."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from common.config.logging_config import JsonFormatter, TextFormatter
from common.config.redaction import redact
from common.functions import context

TRACE = "0af7651916cd43dd8448eb211c80319c"


def record(message: str = "hello", **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("common.test", logging.WARNING, "/x.py", 7, message, (), extra.pop("exc_info", None), "f")
    made.__dict__.update(extra)
    return made


def line(**extra: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(JsonFormatter().format(record(**extra)))
    return found


def test_the_reserved_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    running = context.RequestContext.from_headers({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, function="f")
    running.event_id = "e"
    with context.bind(running):
        said = line(fields={"outcome": "done"})
    assert said["severity"] == "WARNING"
    assert said["time"].endswith("Z")
    assert said["logging.googleapis.com/trace"] == f"projects/p/traces/{TRACE}"
    assert said["logging.googleapis.com/spanId"] == running.span_id
    assert said["logging.googleapis.com/trace_sampled"] is True
    assert said["logging.googleapis.com/labels"] == {"function": "f", "event_id": "e"}
    assert said["logging.googleapis.com/sourceLocation"] == {"file": "/x.py", "line": "7", "function": "f"}
    assert said["outcome"] == "done"


def test_a_stack_trace_is_what_error_reporting_reads_and_leaves_out_postgres_details() -> None:
    told = "broken\nDETAIL:  Failing row contains (someone@upi)."
    try:
        raise ValueError(told)  # noqa: TRY301 - here, for its stack
    except ValueError:
        said = line(exc_info=sys.exc_info())
    assert "Traceback (most recent call last)" in said["stack_trace"]
    assert "ValueError: broken" in said["stack_trace"]
    assert "someone" not in json.dumps(said)


def test_one_line_whatever_is_logged() -> None:
    text = JsonFormatter().format(record("two\nlines", fields={"object": object(), "bytes": b"\xff"}))
    assert "\n" not in text
    assert len(JsonFormatter().format(record("x" * 1_000_000))) < 256 * 1024


def test_what_is_called_like_a_secret_is_not_said() -> None:
    fields = {"Authorization": "Bearer x", "client_secret": "x", "nested": {"vpa": "x", "amount": 1}, "status": 204}
    assert redact(fields) == {
        "Authorization": "[redacted]",
        "client_secret": "[redacted]",
        "nested": {"vpa": "[redacted]", "amount": 1},
        "status": 204,
    }


def test_a_function_that_serves_phonepe_is_no_phone() -> None:
    assert redact({"webhook-phonepe": 1, "phonepe_phone": "x"}) == {"webhook-phonepe": 1, "phonepe_phone": "[redacted]"}


def test_text_is_one_readable_line() -> None:
    said = TextFormatter().format(record(fields={"status": 204, "token": "x"}))
    assert said.endswith("WARNING common.test: hello  status=204 token=[redacted]")


CONFIGURED = """
import logging
from common.config.logging_config import configure_logging
configure_logging(); configure_logging()
logging.getLogger("common.redis").debug("detail")
logging.getLogger("common.events").debug("hidden")
logging.getLogger("common.events").info("said")
"""


@pytest.mark.parametrize(("environment", "json_lines"), [("prod", True), ("dev", False)])
def test_levels_per_module_and_a_format_per_environment(environment: str, json_lines: bool) -> None:
    variables = {"PYTHONPATH": ".", "ENVIRONMENT": environment, "LOG_LEVEL": "INFO,common.redis=DEBUG"}
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURED], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert [one.startswith("{") for one in lines] == [json_lines, json_lines]
    assert "detail" in lines[0]
    assert "said" in lines[1]
