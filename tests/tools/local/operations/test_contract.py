"""Google's libraries of monitoring, logging, tracing and error reporting against the local services."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.api_core.exceptions import InvalidArgument, MethodNotImplemented
from google.cloud import monitoring_v3
from google.cloud.errorreporting_v1beta1 import ReportErrorsServiceAsyncClient
from google.cloud.errorreporting_v1beta1.services.report_errors_service.transports import (
    ReportErrorsServiceGrpcAsyncIOTransport,
)
from google.cloud.errorreporting_v1beta1.types import ReportedErrorEvent
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2AsyncClient
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcAsyncIOTransport
from google.cloud.logging_v2.types import LogEntry
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcAsyncIOTransport
from google.cloud.trace_v2 import TraceServiceAsyncClient
from google.cloud.trace_v2.services.trace_service.transports import TraceServiceGrpcAsyncIOTransport
from google.cloud.trace_v2.types import Span

from common.errors import Unavailable
from common.functions import deadline
from common.infrastructure.monitoring import CloudMonitoring, Condition, cloud_monitoring
from tools.gateway_process import free_port
from tools.local.operations.server import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack

SPAN = "b7ad6b7169203331"
NOW = datetime(2026, 11, 25, 6, 30, tzinfo=UTC)


@pytest.fixture
async def channel(stack: Stack) -> AsyncIterator[grpc.aio.Channel]:
    """To services of the test's own; those of the cloud are used where ours are called."""
    del stack
    port = free_port(0)
    server = await start(port)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made:
        yield made
    await server.stop(grace=None)


def project() -> str:
    return f"projects/{os.environ['GOOGLE_CLOUD_PROJECT']}"


async def test_an_alert_policy_is_made_and_found_again(stack: Stack) -> None:
    del stack
    slow = Condition("raptorflow_request_seconds", threshold=2.5, labels=(("function", "webhook-phonepe"),))
    name = await cloud_monitoring().create_alert_policy("PhonePe's webhook is slow", [slow])
    assert name.startswith(f"{project()}/alertPolicies/")
    found = [policy async for policy in await cloud_monitoring()._policies().list_alert_policies(name=project())]
    assert [(policy.name, policy.display_name) for policy in found] == [(name, "PhonePe's webhook is slow")]


async def test_a_dead_monitoring_fails_within_its_deadline(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    del stack
    monkeypatch.setenv("CLOUD_MONITORING_EMULATOR_HOST", "127.0.0.1:1")
    with pytest.raises(Unavailable):
        async with deadline.within(0.5):
            await CloudMonitoring().create_alert_policy("x", [Condition("raptorflow_mails_total", 1)])


def series(at: datetime, name: str = "custom.googleapis.com/x") -> Any:
    made = monitoring_v3.TimeSeries()
    made.metric.type = name
    made.points = [monitoring_v3.Point(interval=monitoring_v3.TimeInterval(end_time=at), value={"double_value": 1.0})]
    return made


async def test_time_series_keep_to_the_real_limits(channel: grpc.aio.Channel) -> None:
    client = monitoring_v3.MetricServiceAsyncClient(transport=MetricServiceGrpcAsyncIOTransport(channel=channel))
    await client.create_time_series(name=project(), time_series=[series(NOW)])
    with pytest.raises(InvalidArgument, match="more frequently"):
        await client.create_time_series(name=project(), time_series=[series(NOW + timedelta(seconds=4))])
    await client.create_time_series(name=project(), time_series=[series(NOW + timedelta(seconds=5))])
    many = [series(NOW, f"custom.googleapis.com/{number}") for number in range(201)]
    with pytest.raises(InvalidArgument, match="200"):
        await client.create_time_series(name=project(), time_series=many)
    request = {"name": project(), "filter": 'metric.type = "custom.googleapis.com/x"', "interval": {}, "view": 0}
    assert len([one async for one in await client.list_time_series(request=request)]) == 2


async def test_log_entries_are_kept_by_project(channel: grpc.aio.Channel) -> None:
    client = LoggingServiceV2AsyncClient(transport=LoggingServiceV2GrpcAsyncIOTransport(channel=channel))
    await client.write_log_entries(
        log_name=f"{project()}/logs/test", entries=[LogEntry(text_payload="one"), LogEntry(json_payload={"two": 2})]
    )
    found = [entry async for entry in await client.list_log_entries(resource_names=[project()])]
    assert [entry.text_payload for entry in found] == ["one", ""]
    assert [entry async for entry in await client.list_log_entries(resource_names=["projects/other"])] == []
    with pytest.raises(InvalidArgument, match="above"):
        await client.write_log_entries(log_name=f"{project()}/logs/x", entries=[LogEntry(text_payload="x" * 300_000)])


async def test_spans_are_taken_or_told_what_they_lack(channel: grpc.aio.Channel) -> None:
    client = TraceServiceAsyncClient(transport=TraceServiceGrpcAsyncIOTransport(channel=channel))

    def span(name: str) -> Span:
        return Span(name=name, span_id=SPAN, display_name={"value": "call"}, start_time=NOW, end_time=NOW)

    await client.batch_write_spans(name=project(), spans=[span(f"{project()}/traces/{'a' * 32}/spans/{SPAN}")])
    with pytest.raises(InvalidArgument, match="name"):
        await client.batch_write_spans(name=project(), spans=[span("x")])


async def test_an_error_says_where_it_happened(channel: grpc.aio.Channel) -> None:
    client = ReportErrorsServiceAsyncClient(transport=ReportErrorsServiceGrpcAsyncIOTransport(channel=channel))

    def event(message: str) -> ReportedErrorEvent:
        return ReportedErrorEvent(service_context={"service": "job"}, message=message)

    await client.report_error_event(project_name=project(), event=event("Traceback (most recent call last):\n x"))
    with pytest.raises(InvalidArgument, match="location"):
        await client.report_error_event(project_name=project(), event=event("broken"))


async def test_what_is_not_implemented_is_said_so(channel: grpc.aio.Channel) -> None:
    client = monitoring_v3.MetricServiceAsyncClient(transport=MetricServiceGrpcAsyncIOTransport(channel=channel))
    with pytest.raises(MethodNotImplemented):
        await client.list_metric_descriptors(name=project())
