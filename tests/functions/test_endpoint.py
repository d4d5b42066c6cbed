"""Flask applications through the same runtime."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from flask import Flask, request

from common.errors import Unavailable
from common.functions import Rejected, Retry, endpoint, serve, wait_for
from common.functions.testing import HttpEvent, bearer, invoke

MADE = 0


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


RAISED = {
    "defect": ValueError("the customer's secret"),
    "rejected": Rejected(409, "it exists already"),
    "retry": Retry("not yet", after=7),
    "unavailable": Unavailable("redis is down"),
}


@endpoint(public=True, timeout=2)
def public() -> Flask:
    """Pages for everyone."""
    global MADE  # noqa: PLW0603 - counts
    MADE += 1
    app = Flask("public")

    @app.get("/items/<int:number>")
    def item(number: int) -> dict[str, int]:
        return {"double": wait_for(_double(number))}

    @app.post("/echo")
    def echo() -> tuple[bytes, int, dict[str, str]]:
        return request.get_data(), 201, {"X-Query": request.args["q"]}

    @app.get("/slow")
    def slow() -> str:
        wait_for(asyncio.sleep(30))
        return "never"

    @app.get("/impatient")
    def impatient() -> str:
        wait_for(asyncio.sleep(30), seconds=0.01)
        return "never"

    @app.get("/raising/<what>")
    def raising(what: str) -> str:
        raise RAISED[what]

    return app


@endpoint(timeout=5)
def private() -> Flask:
    """Pages for operators."""
    app = Flask("private")
    app.add_url_rule("/whoami", view_func=lambda: request.environ["REMOTE_USER"])
    return app


main, private_main = serve(public), serve(private)


async def get(path: str, **event: Any) -> Any:
    return await invoke(main, HttpEvent(method="GET", path=path, **event))


async def test_a_view_reaches_the_asynchronous_services() -> None:
    answer = await get("/items/21")
    assert (answer.status, answer.json()) == (200, {"double": 42})


async def test_the_application_is_made_once() -> None:
    await get("/items/1")
    await get("/items/2")
    assert MADE == 1


async def test_body_query_status_and_headers_travel_both_ways() -> None:
    answer = await invoke(main, HttpEvent(body=b"hello", path="/echo", query="q=%C3%A9"))
    assert (answer.status, answer.body, answer.headers["x-query"]) == (201, b"hello", "é")


@pytest.mark.parametrize(
    ("path", "status", "outcome"),
    [
        ("/nowhere", 404, "done"),
        ("/echo", 405, "done"),
        ("/raising/defect", 500, "failed"),
        ("/raising/rejected", 409, "rejected"),
        ("/raising/retry", 503, "retry"),
        ("/raising/unavailable", 503, "retry"),
        ("/slow", 503, "retry"),
        ("/impatient", 503, "retry"),
    ],
)
async def test_a_view_may_end_like_any_function(
    path: str, status: int, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = await get(path)
    assert answer.status == status
    assert b"secret" not in answer.body
    assert vars(caplog.records[-1])["fields"]["outcome"] == outcome


async def test_an_outcome_of_a_view_is_told_as_everywhere() -> None:
    rejected, later = await get("/raising/rejected"), await get("/raising/retry")
    assert rejected.headers["content-type"] == "application/problem+json"
    assert rejected.json()["detail"] == "it exists already"
    assert (later.headers["retry-after"], later.body) == ("7", b"")


async def test_a_private_endpoint_needs_a_caller_and_tells_the_view_who_it_is() -> None:
    anonymous = await invoke(private_main, HttpEvent(method="GET", path="/whoami"))
    assert anonymous.status == 401
    headers = {"authorization": bearer("operator@example.com")}
    known = await invoke(private_main, HttpEvent(method="GET", path="/whoami", headers=headers))
    assert known.body == b"operator@example.com"


async def test_a_client_cannot_name_itself() -> None:
    headers = {"authorization": bearer("operator@example.com"), "remote-user": "root@example.com"}
    answer = await invoke(private_main, HttpEvent(method="GET", path="/whoami", headers=headers))
    assert answer.body == b"operator@example.com"
