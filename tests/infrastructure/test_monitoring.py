"""Metrics as lines, their definitions, alert policies, error reports and fields in lines."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config.logging_config import JsonFormatter
from common.errors import InvalidInput
from common.infrastructure.alert_policies import policy_of
from common.infrastructure.errors import REPORTED, ErrorReporting
from common.infrastructure.logging import CloudLogging
from common.infrastructure.metrics import METRICS, record_metric
from common.infrastructure.monitoring import Condition
from tools.manifest import build

ROOT = Path(__file__).parents[2]


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(JsonFormatter().format(record)) for record in caplog.records]


def test_a_metric_is_a_line_that_its_definition_finds(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        record_metric("raptorflow_mails_total", 1, {"kind": "invoice"})
    (said,) = lines(caplog)
    defined = build(ROOT)[0]["metrics"]["raptorflow_mails_total"]
    assert defined["filter"] == 'jsonPayload.logger="raptorflow.metric" AND jsonPayload.metric="raptorflow_mails_total"'
    assert (said["logger"], said["metric"]) == ("raptorflow.metric", "raptorflow_mails_total")
    assert (defined["value"], said["value"]) == ("", 1)  # a counter counts lines
    assert (defined["labels"], said["labels"]) == ({"kind": "EXTRACT(jsonPayload.labels.kind)"}, {"kind": "invoice"})


def test_every_metric_is_defined_for_terraform_and_named_as_prometheus_wants() -> None:
    defined = build(ROOT)[0]["metrics"]
    assert defined.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        assert name.endswith("_total" if metric["kind"] == "counter" else "_seconds")
        assert defined[name]["kind"] == metric["kind"]
    assert defined["raptorflow_request_seconds"]["value"] == "EXTRACT(jsonPayload.span.seconds)"
    assert defined["raptorflow_requests_total"]["value"] == ""


@pytest.mark.parametrize(
    ("name", "value", "labels", "said"),
    [
        ("unknown", 1, {}, "declare it"),
        ("raptorflow_requests_total", 1, {"function": "f", "outcome": "done"}, "declare it"),
        ("raptorflow_mails_total", 1, {}, "has the labels kind"),
        ("raptorflow_mails_total", 1, {"kind": "x" * 101}, "100 characters"),
        ("raptorflow_mails_total", float("nan"), {"kind": "x"}, "one at a time"),
        ("raptorflow_mails_total", 2, {"kind": "x"}, "one at a time"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(name: str, value: float, labels: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        record_metric(name, value, labels)


def test_a_policy_says_what_it_waits_for() -> None:
    slow = Condition("raptorflow_request_seconds", threshold=2.5, labels=(("function", 'web"hook'),))
    policy = policy_of("slow", [slow], "any")
    (condition,) = policy.conditions
    threshold = condition.condition_threshold
    assert threshold.filter == (
        'metric.type = "logging.googleapis.com/user/raptorflow_request_seconds"'
        ' AND resource.type = "cloud_run_revision"'
        ' AND metric.labels.function = "web\\"hook"'
    )
    assert (threshold.threshold_value, threshold.duration.total_seconds()) == (2.5, 300)
    assert threshold.aggregations[0].per_series_aligner.name == "ALIGN_PERCENTILE_95"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition("unknown", 1), "no metric"),
        (Condition("raptorflow_mails_total", 1, for_seconds=61), "whole minutes"),
        (Condition("raptorflow_mails_total", 1, labels=(("to", "x"),)), "no label"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(condition: Condition, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        policy_of("x", [condition], "any")


# --- lines with fields, and errors


def test_a_line_with_context_says_who_wrote_it_and_hides_people(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        CloudLogging().log_with_context("warning", "nearly used", percentage=92, email="asha@example.in")
    (said,) = lines(caplog)
    assert (said["severity"], said["message"], said["percentage"]) == ("WARNING", "nearly used", 92)
    assert said["email"] == "[redacted]"
    assert said["logging.googleapis.com/sourceLocation"]["file"] == __file__
    with pytest.raises(InvalidInput, match="no level"):
        CloudLogging().log_with_context("loud", "x")


async def test_a_reported_error_is_what_error_reporting_reads(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K_SERVICE", "job-generate-invoice")
    monkeypatch.setenv("K_REVISION", "job-generate-invoice-00007")
    try:
        raise ValueError("broken for asha@example.in")  # noqa: TRY301 - here, for its stack
    except ValueError as error:
        await ErrorReporting().report_error(error, {"workspace_id": "w"})
    (said,) = lines(caplog)
    assert (said["severity"], said["@type"], said["workspace_id"]) == ("ERROR", REPORTED, "w")
    assert said["serviceContext"] == {"service": "job-generate-invoice", "version": "job-generate-invoice-00007"}
    assert "Traceback (most recent call last)" in said["stack_trace"]
    assert "test_monitoring.py" in said["stack_trace"]
    assert "asha" not in json.dumps(said)


UNCAUGHT = """
import asyncio, sys, threading
from common.infrastructure.errors import ErrorReporting
from common.infrastructure.logging import CloudLogging

CloudLogging().configure_logging()

async def main():
    ErrorReporting().configure_error_reporting()
    async def failing():
        raise LookupError("in a task")
    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    import gc; gc.collect()
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()

asyncio.run(main())
raise RuntimeError("at the end")
"""


def test_what_nobody_catches_is_reported() -> None:
    variables = {"PYTHONPATH": ".", "ENVIRONMENT": "prod"}
    done = subprocess.run(
        [sys.executable, "-c", UNCAUGHT], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["message"] for line in said} == {"LookupError", "ZeroDivisionError", "RuntimeError"}
    assert {line["@type"] for line in said} == {REPORTED}


def test_none_of_it_loads_a_google_library() -> None:
    code = (
        "import sys, common.infrastructure.logging, common.infrastructure.errors, common.infrastructure.metrics,"
        " common.infrastructure.monitoring, common.infrastructure.tracing, common.infrastructure.otlp;"
        " found = [name for name in sys.modules if name.startswith(('google.', 'grpc', 'opentelemetry'))];"
        " sys.exit(', '.join(found) if found != ['google.cloud'] else None)"  # the namespace, made by site-packages
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "."}, check=False)
    assert done.returncode == 0
    assert asyncio.iscoroutinefunction(ErrorReporting().report_error)
