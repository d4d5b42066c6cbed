"""Spans: below the invocation, nested, across tasks; as log lines, and by OTLP where a function wants it."""

from __future__ import annotations

import asyncio
import http.server
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from common.errors import InvalidInput, Unavailable
from common.functions import Request, context, endpoint, serve, webhook
from common.functions.testing import HttpEvent, invoke
from common.infrastructure import otlp, tracing
from common.infrastructure.otlp import export_traces
from common.infrastructure.tracing import CloudTracing, span

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"content-type": "application/json", "traceparent": f"00-{TRACE}-{CALLER}-01"}


@pytest.fixture
def running() -> Iterator[context.RequestContext]:
    made = context.RequestContext.from_headers(HEADERS, function="webhook-example")
    with context.bind(made):
        yield made


def spans(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The span lines by name, each with its ids."""
    return {
        record.fields["span"]["name"]: {  # type: ignore[attr-defined]
            "id": record.span_id,  # type: ignore[attr-defined]
            "trace": record.trace,  # type: ignore[attr-defined]
            **record.fields["span"],  # type: ignore[attr-defined]
        }
        for record in caplog.records
        if record.name == "raptorflow.span"
    }


def test_a_span_is_a_line_below_its_invocation(
    running: context.RequestContext, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), span("outer", kind="test"), span("inner"):
        pass
    said = spans(caplog)
    assert said["outer"]["parent"] == running.span_id
    assert said["inner"]["parent"] == said["outer"]["id"]
    assert {said["outer"]["trace"], said["inner"]["trace"]} == {TRACE}
    assert said["outer"]["attributes"] == {"kind": "test"}
    assert 0 <= said["inner"]["seconds"] <= said["outer"]["seconds"]


def test_what_leaves_inside_a_span_names_it(running: context.RequestContext, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), span("outer"):
        inside = running.traceparent
        assert context.span_id() == inside.split("-")[2]
    assert inside == f"00-{TRACE}-{spans(caplog)['outer']['id']}-01"
    assert running.traceparent == f"00-{TRACE}-{running.span_id}-01"


async def test_tasks_side_by_side_have_spans_of_their_own(
    running: context.RequestContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def one(name: str) -> None:
        with span(name):
            await asyncio.sleep(0.01)
            with span(f"{name} below"):
                await asyncio.sleep(0.01)

    with caplog.at_level(logging.INFO):
        await asyncio.gather(one("a"), one("b"))
    said = spans(caplog)
    for name in ("a", "b"):
        assert said[name]["parent"] == running.span_id
        assert said[f"{name} below"]["parent"] == said[name]["id"]


def test_a_failure_is_told_by_its_kind_alone(running: context.RequestContext, caplog: pytest.LogCaptureFixture) -> None:
    del running
    with caplog.at_level(logging.INFO), pytest.raises(Unavailable), span("call"):
        raise Unavailable("what was sent")
    assert spans(caplog)["call"]["failed"] == "Unavailable"
    assert "what was sent" not in caplog.text


UNSAMPLED = {**HEADERS, "traceparent": f"00-{TRACE}-{CALLER}-00"}


def test_of_a_trace_that_is_not_sampled_a_span_is_no_line_and_no_link(caplog: pytest.LogCaptureFixture) -> None:
    running = context.RequestContext.from_headers(UNSAMPLED, function="webhook-example")
    with caplog.at_level(logging.INFO), context.bind(running), span("outer", kind="test") as outer:
        outer.set_attribute("more", 1)
        with span("inner"):
            assert running.traceparent == f"00-{TRACE}-{running.span_id}-00"
    assert spans(caplog) == {}


def test_of_a_trace_that_is_not_sampled_what_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    running = context.RequestContext.from_headers(UNSAMPLED, function="webhook-example")
    with (
        caplog.at_level(logging.INFO),
        context.bind(running),
        pytest.raises(Unavailable),
        span("call", kind="test") as call,
    ):
        call.set_attribute("more", 1)
        raise Unavailable("what was sent")
    said = spans(caplog)["call"]
    assert (said["trace"], said["parent"], said["failed"]) == (TRACE, running.span_id, "Unavailable")
    assert said["attributes"] == {"kind": "test", "more": 1}
    assert said["id"] not in {running.span_id, CALLER}
    assert "what was sent" not in caplog.text


def test_without_with_a_trace_that_is_not_sampled_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cloud = CloudTracing()
    with caplog.at_level(logging.INFO), context.bind(context.RequestContext.from_headers(UNSAMPLED, function="f")):
        cloud.start_span("outer")
        cloud.end_span()
    assert spans(caplog) == {}


def test_opentelemetry_is_not_imported_for_a_trace_that_is_not_sampled() -> None:
    code = f"""if True:
    import sys
    from common.functions import context
    from common.infrastructure.tracing import span
    headers = {UNSAMPLED!r}
    with context.bind(context.RequestContext.from_headers(headers, function="f")), span("call"):
        pass
    sys.exit("opentelemetry" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": "."})


def test_outside_of_an_invocation_a_span_begins_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), span("script"):
        pass
    said = spans(caplog)["script"]
    assert said["parent"] == ""
    assert len(said["trace"]) == 32


def test_spans_without_with(running: context.RequestContext, caplog: pytest.LogCaptureFixture) -> None:
    cloud = CloudTracing()
    with caplog.at_level(logging.INFO):
        cloud.start_span("outer")
        cloud.start_span("inner")
        cloud.end_span()
        cloud.end_span()
    said = spans(caplog)
    assert (said["inner"]["parent"], said["outer"]["parent"]) == (said["outer"]["id"], running.span_id)
    assert context.span_id() == running.span_id
    with pytest.raises(RuntimeError, match="no span"):
        cloud.end_span()


async def test_a_task_ends_no_span_of_the_one_that_started_it(
    running: context.RequestContext, caplog: pytest.LogCaptureFixture
) -> None:
    cloud = CloudTracing()

    async def below() -> None:
        with pytest.raises(RuntimeError, match="no span"):
            cloud.end_span()
        cloud.start_span("inner")
        cloud.end_span()

    with caplog.at_level(logging.INFO):
        cloud.start_span("outer")
        await asyncio.create_task(below())
        assert "outer" not in spans(caplog)
        cloud.end_span()
    said = spans(caplog)
    assert (said["inner"]["parent"], said["outer"]["parent"]) == (said["outer"]["id"], running.span_id)


async def test_the_summary_line_is_the_invocations_span(caplog: pytest.LogCaptureFixture) -> None:
    @webhook(timeout=5)
    async def example(_request: Request) -> None:
        with span("call"):
            pass

    with caplog.at_level(logging.INFO):
        await invoke(serve(example), HttpEvent(body=b"{}", headers=HEADERS))
    (summary,) = (record for record in caplog.records if record.name == "raptorflow.request")
    said = summary.fields["span"]  # type: ignore[attr-defined]
    assert (said["name"], said["parent"]) == ("webhook-example", CALLER)
    assert said["seconds"] > 0


def test_opentelemetry_is_not_imported_before_the_first_span() -> None:
    code = "import sys, common.functions, common.infrastructure.tracing; sys.exit('opentelemetry' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": "."})


# --- exported


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes OTLP over HTTP."""

    received: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        """Keep what comes."""
        import gzip

        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    received: list[ExportTraceServiceRequest] = []
    handler = type("Handler", (Collector,), {"received": received})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", received
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture
def _lines_again() -> Iterator[None]:
    yield
    tracing.export_with(None)


@webhook(timeout=5)
async def exported(_request: Request) -> None:
    """Make one call."""
    with span("call", topic="t"):
        pass


@pytest.mark.usefixtures("_lines_again")
@pytest.mark.parametrize(
    ("headers", "ratio", "sent"),
    [
        (HEADERS, 0, True),  # the caller's trace is exported, so ours is
        ({**HEADERS, "traceparent": f"00-{TRACE}-{CALLER}-00"}, 1, False),
        ({"content-type": "application/json"}, 1, True),
        ({"content-type": "application/json"}, 0, False),
    ],
)
async def test_what_is_sampled_is_sent_before_the_response(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], ratio: float, sent: bool
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    with collector() as (url, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        export_traces(ratio)
        result = await invoke(serve(exported), HttpEvent(body=b"{}", headers=headers))
        there = list(received)
    assert result.status == 200
    assert bool(there) is sent
    if sent:
        found = {one.name: one for export in there for scope in export.resource_spans for one in _all(scope)}
        root, below = found["webhook-exported"], found["call"]
        assert below.parent_span_id == root.span_id
        assert below.trace_id == root.trace_id
        if "traceparent" in headers:
            assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, CALLER)
        (resource,) = {export.resource_spans[0].resource.SerializeToString() for export in there}
        assert b"gcp.project_id" in resource


@endpoint(timeout=5, public=True)
def application() -> Flask:
    """Make one call from a view."""
    app = Flask(__name__)

    @app.get("/")
    def view() -> str:
        with span("call", topic="t"):
            return "ok"

    return app


@pytest.mark.usefixtures("_lines_again")
async def test_an_application_is_one_span_with_its_views_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    with collector() as (url, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        export_traces(0)
        result = await invoke(serve(application), HttpEvent(method="GET", headers=HEADERS))
        there = list(received)
    assert result.status == 200
    found = {one.name: one for export in there for scope in export.resource_spans for one in _all(scope)}
    root, below = found["api-application"], found["call"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, CALLER)
    assert (below.trace_id, below.parent_span_id) == (root.trace_id, root.span_id)


def _all(resource_spans: Any) -> list[Any]:
    return [one for scope in resource_spans.scope_spans for one in scope.spans]


@pytest.mark.usefixtures("_lines_again")
async def test_a_dead_collector_costs_its_spans_and_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    export_traces(1)
    async with asyncio.timeout(8):
        assert (await invoke(serve(exported), HttpEvent(body=b"{}", headers=HEADERS))).status == 200


@pytest.mark.usefixtures("_lines_again")
async def test_a_collector_that_does_not_answer_costs_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    over = threading.Event()
    monkeypatch.setattr(Collector, "do_POST", lambda _handler: over.wait(30))
    with collector() as (url, _received), ExitStack() as at_the_end:
        at_the_end.callback(over.set)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        export_traces(1)
        assert tracing._exporter is not None
        assert tracing._exporter.provider is not None  # made with the exporter's own, longer time-out
        monkeypatch.setattr(otlp, "FLUSH_SECONDS", 0.2)
        began = time.monotonic()
        assert (await invoke(serve(exported), HttpEvent(body=b"{}", headers=HEADERS))).status == 200
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        export_traces(ratio)
