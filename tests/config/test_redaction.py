"""The net below every log line: secrets by their name and by their value, people by their addresses."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from common.config import Settings
from common.config.logging_config import JsonFormatter, TextFormatter, _Handler
from common.config.redaction import read_secrets, redact, scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = 'c4n"ary\\/+secret'
SECRET_FIELDS = [name for name, field in Settings.model_fields.items() if isinstance(field.default, SecretStr)]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    read_secrets()
    yield
    read_secrets()


@pytest.mark.parametrize("name", SECRET_FIELDS)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_secret_setting_is_ever_said(
    monkeypatch: pytest.MonkeyPatch, name: str, formatter: logging.Formatter
) -> None:
    monkeypatch.setenv(name.upper(), f"k1:{SECRET}\n{SECRET}")
    record = logging.LogRecord("x", logging.ERROR, "/x.py", 1, "refused: %s", (SECRET,), None)
    record.fields = {"where": f"before {SECRET} after", "list": [SECRET]}
    said = formatter.format(record)
    assert "c4n" not in said
    assert said.count("[redacted]") >= 2
    if isinstance(formatter, JsonFormatter):
        assert json.loads(said)["where"] == "before [redacted] after"


def test_a_password_inside_a_url_is_a_secret_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:p%2Fw0rd-x@db.example:6543/postgres")
    assert scrub("password p/w0rd-x and p%2Fw0rd-x") == "password [redacted] and [redacted]"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mail to asha.rao+x@example.co.in failed", "mail to [redacted] failed"),
        ("paid by 98450@upi", "paid by [redacted]"),
        ("call +91 98450 12345", "call [redacted]"),
        (
            "caller invoker@p.iam.gserviceaccount.com is not expected",
            "caller invoker@p.iam.gserviceaccount.com is not expected",
        ),
        ("order RF-2026-27-00001, 9845012345 paise", "order RF-2026-27-00001, 9845012345 paise"),
        ("SELECT a@@b", "SELECT a@@b"),
    ],
)
def test_people_are_not_said_and_machines_are(line: str, said: str) -> None:
    assert scrub(line) == said


@pytest.mark.parametrize("password", ["pa[ss-word", "pa]ss-word", "pa/ss#word", "pa@ss-word"])
def test_a_password_that_should_be_escaped_stops_no_line(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", f"rediss://default:{password}@h.example:6379")
    assert scrub(f"it is {password}.") == "it is [redacted]."


def test_names_count_however_deep() -> None:
    fields = {"items": [{"client_secret": "x", "n": 1}], "pair": ({"email": "y"},), "at": {"at": {"token": "z"}}}
    assert redact(fields) == {
        "items": [{"client_secret": "[redacted]", "n": 1}],
        "pair": [{"email": "[redacted]"}],
        "at": {"at": {"token": "[redacted]"}},
    }


def _endless() -> dict[str, Any]:
    made: dict[str, Any] = {"n": 1}
    made["again"] = [made]
    return made


@pytest.mark.parametrize(
    "fields",
    [{1: "x"}, {("a",): 1}, {"n": float("nan")}, {"n": [float("-inf")]}, {"b": b"x"}, {"half": "\ud800"}, _endless()],
    ids=["number", "tuple", "nan", "infinity", "bytes", "half", "endless"],
)
def test_whatever_the_fields_are_the_line_is_json_of_its_own_severity(fields: dict[Any, Any]) -> None:
    record = logging.LogRecord("x", logging.ERROR, "/x.py", 1, "failed", (), None)
    record.fields = {**fields, "severity": "DEBUG", "message": "forged"}
    said = json.loads(JsonFormatter().format(record).encode(), parse_constant=pytest.fail)
    assert (said["severity"], said["message"], said["severity_"]) == ("ERROR", "failed", "DEBUG")
    assert TextFormatter().format(record).encode()


def test_a_record_that_cannot_be_written_is_told_without_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    handler = _Handler(io.StringIO())
    handler.setFormatter(JsonFormatter())
    handler.handle(logging.LogRecord("x", logging.ERROR, "/x.py", 7, "%d", (SECRET,), None))
    said = capsys.readouterr().err
    assert json.loads(said) == {
        "severity": "ERROR",
        "message": "a log record could not be written: TypeError",
        "logger": "x",
        "file": "/x.py",
        "line": 7,
    }
