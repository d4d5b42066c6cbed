"""What every trigger gets from the runtime: bounds, callers, outcomes, one summary line."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest

from common.errors import Unavailable
from common.functions import Rejected, Request, Retry, serve, webhook
from common.functions.testing import HttpEvent, Result, invoke

if TYPE_CHECKING:
    from common.functions.testing import Main

JSON = {"content-type": "application/json"}
SCOPE = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}


def served(
    error: BaseException | None = None, answer: dict[str, Any] | None = None, timeout: int = 5
) -> tuple[Main, list[Request]]:
    """A webhook that keeps what it was called with and then answers, or raises."""
    calls: list[Request] = []

    @webhook(timeout=timeout)
    async def example(request: Request) -> dict[str, Any] | None:
        calls.append(request)
        if error is not None:
            raise error
        return answer

    return serve(example), calls


async def test_a_webhook_gets_the_raw_body_and_answers_200() -> None:
    main, calls = served()
    result = await invoke(main, HttpEvent(body=b'{"a":  1}', headers=JSON))
    assert (result.status, result.body) == (200, b"")
    assert calls[0].body == b'{"a":  1}'


async def test_a_webhook_may_answer_json() -> None:
    main, _ = served(answer={"decision": "continue"})
    assert (await invoke(main, HttpEvent(body=b"{}", headers=JSON))).json() == {"decision": "continue"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_405_and_runs_nothing(method: str) -> None:
    main, calls = served()
    result = await invoke(main, HttpEvent(method=method))
    assert (result.status, result.headers["allow"], calls) == (405, "POST", [])


async def test_a_problem_says_in_one_sentence_what_is_wrong() -> None:
    main, _ = served()
    result = await invoke(main, HttpEvent(method="GET"))
    assert result.headers["content-type"] == "application/problem+json"
    assert result.json() == {"type": "about:blank", "title": "Method Not Allowed", "status": 405, "detail": "use POST"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({**JSON, "content-encoding": "gzip"}, 415),
        ([("content-type", "application/json"), ("content-type", "text/plain")], 400),
        ({f"x-{number}": "v" for number in range(101)}, 431),
        ({"x-large": "v" * 17_000}, 431),
        ({**JSON, "content-length": str(10**30)}, 413),
        ({"content-type": "application/json; charset=UTF-8"}, 200),
        ({}, 200),
    ],
)
async def test_headers_are_bounded(headers: Any, status: int) -> None:
    main, calls = served()
    assert (await invoke(main, HttpEvent(body=b"{}", headers=headers))).status == status
    assert len(calls) == (status == 200)


async def test_a_body_is_cut_off_while_it_streams_in() -> None:
    main, calls = served()
    received = 0

    async def endless() -> dict[str, Any]:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    response = await main(StarletteRequest(SCOPE, endless))
    assert (response.status_code, calls) == (413, [])
    assert received == 17  # one chunk beyond a mebibyte, and not one more


async def test_who_sends_the_body_drop_by_drop_is_told_408() -> None:
    main, calls = served(timeout=2)
    drops = 0

    async def drip() -> dict[str, Any]:
        nonlocal drops
        drops += 1
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    response = await main(StarletteRequest(SCOPE, drip))
    assert (response.status_code, calls) == (408, [])
    assert drops > 5


async def test_who_leaves_in_the_middle_of_the_body_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    main, calls = served()
    parts: list[dict[str, Any]] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"{", "more_body": True},
    ]

    async def leave() -> dict[str, Any]:
        return parts.pop()

    with caplog.at_level(logging.INFO):
        response = await main(StarletteRequest(SCOPE, leave))
    assert (response.status_code, calls) == (499, [])
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_names_with_an_underscore_are_not_seen_and_duplicates_are_kept_apart() -> None:
    main, calls = served()
    headers = [("x_sig", "forged"), ("x-sig", "one"), ("x-sig", "two")]
    await invoke(main, HttpEvent(body=b"{}", headers=headers))
    assert calls[0].headers.getlist("x-sig") == ["one", "two"]
    assert "x_sig" not in calls[0].headers
    with pytest.raises(Rejected, match="must come once"):
        calls[0].header("x-sig")


async def test_of_identifiers_that_come_twice_the_first_counts(caplog: pytest.LogCaptureFixture) -> None:
    main, _ = served()
    first, second = (f"00-{letter * 32}-{letter * 16}-01" for letter in "ab")
    with caplog.at_level(logging.INFO):
        await invoke(main, HttpEvent(body=b"{}", headers=[("traceparent", first), ("traceparent", second)]))
    assert _summary(caplog)["span"]["parent"] == "a" * 16


@pytest.mark.parametrize(
    ("error", "status", "header", "outcome"),
    [
        (Rejected(401, "no"), 401, ("content-type", "application/problem+json"), "rejected"),
        (Retry("later", after=2.1), 503, ("retry-after", "3"), "retry"),
        (Retry("later"), 503, ("retry-after", "10"), "retry"),
        (Unavailable("redis is down", 4), 503, ("retry-after", "4"), "retry"),
        (ClientDisconnect(), 499, ("content-length", "0"), "disconnected"),
        (ValueError("the customer's secret"), 500, ("content-length", "0"), "failed"),
    ],
)
async def test_outcomes(
    error: Exception, status: int, header: tuple[str, str], outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    main, _ = served(error)
    with caplog.at_level(logging.INFO):
        result = await invoke(main, HttpEvent(body=b"{}", headers=JSON))
    assert result.status == status
    assert result.headers[header[0]] == header[1]
    assert _summary(caplog)["outcome"] == outcome


async def test_a_defect_answers_an_empty_500_and_logs_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    main, _ = served(ValueError("broken"))
    result = await invoke(main, HttpEvent(body=b"{}", headers=JSON))
    assert (result.status, result.body) == (500, b"")
    assert caplog.records[-1].levelname == "ERROR"
    assert caplog.records[-1].exc_info is not None


async def test_the_deadline_is_a_503_and_the_work_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    undone = asyncio.Event()

    @webhook(timeout=1)
    async def slow(request: Request) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            undone.set()

    result = await invoke(serve(slow), HttpEvent(body=b"{}", headers=JSON))
    assert result.status == 503
    assert undone.is_set()
    assert _summary(caplog)["reason"] == "the invocation's time is up"


async def test_one_summary_line_a_request_and_the_first_says_that_it_was_cold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    main, _ = served()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            await invoke(main, HttpEvent(body=b'{"vpa": "someone@upi"}', headers=JSON))
    lines = [record for record in caplog.records if record.name == "raptorflow.request"]
    first, second = (vars(line)["fields"] for line in lines)
    assert first["cold_start"] is True
    assert first["import_ms"] > 0
    assert "cold_start" not in second
    assert second["httpRequest"]["status"] == 200
    assert "someone" not in caplog.text


def test_an_undecorated_function_cannot_be_served() -> None:
    with pytest.raises(TypeError, match="not decorated"):
        serve(len)


def _summary(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    line = next(record for record in caplog.records if record.name == "raptorflow.request")
    fields: dict[str, Any] = vars(line)["fields"]
    return fields


def test_result_reads_json() -> None:
    assert Result(200, {}, b"[1]").json() == [1]


@pytest.mark.parametrize("status", [200, 399, 500, 499, 419])
def test_a_rejection_has_a_known_status_of_the_callers_fault(status: int) -> None:
    with pytest.raises(ValueError, match=f"4xx status, not {status}"):
        Rejected(status, "no")
