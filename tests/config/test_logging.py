"""Log lines that Cloud Logging and Error Reporting can read, and that tell no secrets."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections import OrderedDict, UserDict
from types import MappingProxyType
from typing import Any, NoReturn

import pytest

from common.config.logging_config import JsonFormatter, TextFormatter
from common.config.redaction import read_secrets, redact
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


LIMIT = 256 * 1024
"""Of an entry of Cloud Logging, in bytes."""


def failed(told: str, *, causes: int = 0) -> Any:
    """An exception with two frames and so many others as its causes, as a record has it."""
    cause: Exception | None = None
    for number in range(causes):
        try:
            raise LookupError(f"cause {number} {'.' * 200}") from cause  # noqa: TRY301 - for its stack
        except LookupError as error:
            cause = error
    try:
        fail(told, cause)
    except ValueError:
        return sys.exc_info()


def fail(told: str, cause: Exception | None) -> NoReturn:
    raise ValueError(told) from cause


@pytest.mark.parametrize("letter", ["x", "\x00", "\n", "₹", "\ud800", "😀", '"'])
@pytest.mark.parametrize("where", ["message", "field", "list", "fields", "name", "trace"])
def test_a_line_is_never_longer_than_cloud_logging_takes(where: str, letter: str) -> None:
    long = letter * 400_000
    given: dict[str, dict[str, Any]] = {
        "message": {"message": long},
        "field": {"fields": {"outcome": "done", "query": long}},
        "list": {"fields": {"outcome": "done", "rows": [letter * 9] * 50_000}},
        "fields": {"fields": {"outcome": "done", **{f"f{n}": letter * 100 for n in range(10_000)}}},
        "name": {"fields": {"outcome": "done", long: 1}},
        "trace": {"fields": {"outcome": "done"}, "exc_info": failed(long)},
    }
    written = JsonFormatter().format(record(**given[where]))
    assert len(written.encode()) < LIMIT
    said = json.loads(written)
    assert re.fullmatch(r"the line had \d{6,} bytes; \d+ fields are left out", said["truncated"])
    assert (said["severity"], said["logger"]) == ("WARNING", "common.test")
    assert where == "message" or (said["message"], said["outcome"]) == ("hello", "done")
    if where in {"message", "field", "list"}:
        name = {"message": "message", "field": "query", "list": "rows"}[where]
        assert re.search(r" \[\.\.\. \d+ characters cut \.\.\.\] ", said[name])
    if where in {"fields", "name"}:
        assert not said["truncated"].endswith(" 0 fields are left out")


def test_a_line_of_half_the_limit_is_whole() -> None:
    said = line(fields={"query": "x" * 120_000})
    assert len(said["query"]) == 120_000
    assert "truncated" not in said


@pytest.mark.parametrize("message", ["y" * 500_000, "y\n" * 250_000])
def test_a_stack_trace_is_readable_however_long_what_stands_around_it_is(message: str) -> None:
    said = line(message=message, exc_info=failed("broken " + "x" * 500_000))
    assert "\nTraceback (most recent call last):\n" in said["stack_trace"]
    assert "in failed\n" in said["stack_trace"]
    assert "in fail\n" in said["stack_trace"]
    assert "\nValueError: broken xxx" in said["stack_trace"]
    assert said["stack_trace"].endswith("xxx")


def test_a_long_stack_trace_keeps_its_beginning_and_its_end() -> None:
    said = line(exc_info=failed("broken", causes=400), fields={"query": "x" * 500_000})["stack_trace"]
    assert said.startswith("hello\nTraceback (most recent call last):\n")
    assert "LookupError: cause 0 " in said
    assert "LookupError: cause 200 " not in said
    assert "LookupError: cause 399 " in said
    assert said.endswith("ValueError: broken")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_cut_shows_no_half_of_a_secret(monkeypatch: pytest.MonkeyPatch, formatter: logging.Formatter) -> None:
    monkeypatch.setenv("SOME_SECRET", "s3cr3t-of-this-test")
    read_secrets()
    said = formatter.format(record("s3cr3t-of-this-test " * 100_000))
    assert "cut" in said
    assert "s3c" not in said
    assert "-test" not in said
    read_secrets()


def test_nothing_that_is_said_in_text_looks_like_another_line() -> None:
    forged = "\n12:00:00.000 ERROR   common.billing: forged\r\x1b[2K\x85\u2028"
    try:
        raise ValueError(forged)  # noqa: TRY301 - here, for its stack
    except ValueError:
        said = TextFormatter().format(record(f"a{forged}b", fields={"path": forged}, exc_info=sys.exc_info()))
    first, *below = said.splitlines()
    assert r"common.test: a\n12:00:00.000 ERROR   common.billing: forged\r\x1b[2K\x85\u2028b  path=\n12:" in first
    assert all(one.startswith("  ") for one in below)
    assert below[0] == "  Traceback (most recent call last):"
    assert "    ValueError: " not in said
    assert "\n  ValueError: \n  12:00:00.000 ERROR   common.billing: forged\n" in said
    assert "\x1b" not in said


def test_a_text_is_bounded_and_says_so() -> None:
    said = TextFormatter().format(record("x" * 500_000, fields={"a": "y" * 500_000}, exc_info=failed("z" * 500_000)))
    assert len(said) < LIMIT
    assert said.count("characters cut") == 2


def test_what_is_called_like_a_secret_is_not_said() -> None:
    fields = {"Authorization": "Bearer x", "client_secret": "x", "nested": {"vpa": "x", "amount": 1}, "status": 204}
    assert redact(fields) == {
        "Authorization": "[redacted]",
        "client_secret": "[redacted]",
        "nested": {"vpa": "[redacted]", "amount": 1},
        "status": 204,
    }


def test_a_mapping_of_any_kind_is_looked_into() -> None:
    for kind in (MappingProxyType, UserDict, OrderedDict):
        assert redact({"headers": [kind({"cookie": "x", "status": 1})]}) == {
            "headers": [{"cookie": "[redacted]", "status": 1}]
        }


def test_what_contains_itself_ends_there_and_at_once() -> None:
    """Ten children that each know their parent would be 10 ** 8 of them at the deepest level that is looked at."""
    family: dict[str, Any] = {"token": "x", "children": []}
    family["children"] += [{"number": number, "parent": family, "all": family["children"]} for number in range(10)]
    said = line(fields={"family": family})["family"]
    assert said["token"] == "[redacted]"
    assert said["children"] == [{"number": number, "parent": "[itself]", "all": "[itself]"} for number in range(10)]


def test_what_is_nested_without_end_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "[too deep]" in JsonFormatter().format(record(fields={"deep": deep}))


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
