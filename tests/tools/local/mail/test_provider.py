"""The stand-in refuses what the provider refuses, and shows what it took."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tools.local.mail.app import application

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAIL = {
    "from": "RaptorFlow <billing@raptorflow.example>",
    "to": ["asha@example.com"],
    "subject": "<b>Hello</b>",
    "html": "<script>alert(1)</script>",
    "text": "hello",
    "attachments": [
        {"filename": "a.pdf", "content_type": "application/pdf", "content": base64.b64encode(b"%PDF").decode()}
    ],
}


@pytest.fixture
async def provider() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application("re_key"))
    async with httpx.AsyncClient(transport=transport, base_url="http://mail") as client:
        yield client


async def send(provider: httpx.AsyncClient, key: str | None = None, **changes: Any) -> httpx.Response:
    headers = {"Authorization": "Bearer re_key"} | ({"Idempotency-Key": key} if key else {})
    return await provider.post("/emails", json=MAIL | changes, headers=headers)


async def mails(provider: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await provider.get("/api/mails", params=query)).json()["mails"]
    return found


async def test_a_key_is_needed(provider: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer re_other"}):
        assert (await provider.post("/emails", json=MAIL, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"to": []}, "missing_required_field"),
        ({"subject": ""}, "missing_required_field"),
        ({"html": "", "text": ""}, "missing_required_field"),
        ({"from": "RaptorFlow"}, "validation_error"),
        ({"to": ["not an address"]}, "validation_error"),
        ({"to": [f"a{n}@example.com" for n in range(51)]}, "validation_error"),
        ({"subject": "a\nBcc: b@example.com"}, "validation_error"),
        ({"attachments": [{"filename": "a", "content": "%%%"}]}, "invalid_attachment"),
        ({"attachments": [{"content": ""}]}, "invalid_attachment"),
    ],
)
async def test_a_mail_that_is_refused(provider: httpx.AsyncClient, changes: dict[str, Any], name: str) -> None:
    answer = await send(provider, **changes)
    assert (answer.status_code, answer.json()["name"]) == (422, name)
    assert await mails(provider) == []


async def test_one_key_is_one_mail(provider: httpx.AsyncClient) -> None:
    first, second = await send(provider, "k"), await send(provider, "k")
    assert first.json() == second.json()
    other = await send(provider, "k", subject="other")
    assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
    assert (await send(provider, "x" * 257)).status_code == 400
    assert len(await mails(provider)) == 1


async def test_the_pages_escape_what_a_mail_says(provider: httpx.AsyncClient) -> None:
    await send(provider)
    (mail,) = await mails(provider, to="asha@example.com")
    assert await mails(provider, to="other@example.com") == []
    index = (await provider.get("/")).text
    assert "&lt;b&gt;Hello&lt;/b&gt;" in index
    page = (await provider.get(f"/mails/{mail['id']}")).text
    assert "<script>" not in page
    assert "<iframe sandbox" in page
    attachment = await provider.get(mail["attachments"][0]["path"])
    assert (attachment.content, attachment.headers["content-type"]) == (b"%PDF", "application/pdf")
    for path in ("/mails/none", f"/mails/{mail['id']}/7"):
        assert (await provider.get(path)).status_code == 404


async def test_no_mail_yet(provider: httpx.AsyncClient) -> None:
    assert "No mail yet" in (await provider.get("/")).text


async def test_faults_are_answered_in_order(provider: httpx.AsyncClient) -> None:
    await provider.post("/_local/faults", json={"answers": [429, 500]})
    answers = [await send(provider) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 500, 200]
    assert answers[0].headers["retry-after"] == "1"
