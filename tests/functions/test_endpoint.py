"""Flask applications through the same runtime."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from flask import Flask, request

from common.functions import endpoint, serve, wait_for
from common.functions.testing import HttpEvent, bearer, invoke

MADE = 0


async def _double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


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

    @app.get("/broken")
    def broken() -> str:
        raise ValueError("the customer's secret")

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


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/echo", 405), ("/broken", 500)])
async def test_flask_answers_its_own_errors(path: str, status: int) -> None:
    answer = await get(path)
    assert answer.status == status
    assert b"secret" not in answer.body


async def test_a_slow_view_ends_at_the_deadline() -> None:
    assert (await get("/slow")).status in {500, 503}


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
