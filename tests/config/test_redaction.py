"""The net below every log line: secrets by their name and by their value, people by their addresses."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from common.config import Settings
from common.config.logging_config import JsonFormatter, TextFormatter
from common.config.redaction import read_secrets, scrub

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
