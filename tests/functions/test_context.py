"""The request's identifiers: read, bounded, carried on."""

from __future__ import annotations

import pytest

from common.functions import context

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("headers", "trace", "sampled"),
    [
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE, True),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}, TRACE, False),
        ({"x-cloud-trace-context": f"{TRACE}/12345;o=1"}, TRACE, True),
        ({"x-cloud-trace-context": TRACE.upper()}, TRACE, False),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-cloud-trace-context": "f" * 32}, TRACE, True),
    ],
)
def test_a_trace_is_joined(headers: dict[str, str], trace: str, sampled: bool) -> None:
    read = context.RequestContext.from_headers(headers, function="f")
    assert (read.trace, read.sampled) == (trace, sampled)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
        {"x-cloud-trace-context": "0" * 32},
        {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01\n"},
    ],
)
def test_a_malformed_trace_starts_a_new_one(headers: dict[str, str]) -> None:
    first, second = (context.RequestContext.from_headers(headers, function="f") for _ in range(2))
    assert len(first.trace) == 32
    assert first.trace not in {second.trace, TRACE, "0" * 32}
    assert first.sampled


def test_an_execution_id_that_could_forge_a_log_line_is_ignored() -> None:
    forged = context.RequestContext.from_headers({"function-execution-id": 'x", "severity": "ALERT'}, function="f")
    assert forged.execution_id == ""


def test_what_is_sent_on_names_this_span_of_the_same_trace() -> None:
    read = context.RequestContext.from_headers({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, function="f")
    assert read.traceparent == f"00-{TRACE}-{read.span_id}-01"
    assert read.span_id != "b7ad6b7169203331"


def test_fields_are_there_inside_and_gone_outside() -> None:
    assert context.fields() == {}
    running = context.RequestContext.from_headers({"function-execution-id": "abc"}, function="f")
    running.event_id = "e"
    with context.bind(running):
        assert context.fields() == {"function": "f", "execution_id": "abc", "event_id": "e"}
    assert context.current() is None
