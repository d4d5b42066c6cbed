"""google-genai against the local Vertex AI, and messages against Slack's stand-in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google import genai
from google.genai.errors import ClientError
from google.genai.types import Content, Part
from google.oauth2.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.local.storage.server import running
from tools.local import slack
from tools.local.vertex import app as vertex
from tools.local.vertex.answers import PREFIX
from tools.local.vertex.embedding import embed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import Stack

MODEL, EMBEDDER = "gemini-2.5-flash", "text-embedding-005"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[genai.Client]:
    credentials = Credentials(token="local")  # type: ignore[no-untyped-call]
    with running(tmp_path, application=lambda _root: vertex.application()) as url:
        monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", url)
        yield genai.Client(vertexai=True, project="p", location="asia-south1", credentials=credentials)


def test_text_says_that_it_is_local_and_is_the_same_each_time(client: genai.Client) -> None:
    first, second = (client.models.generate_content(model=MODEL, contents="Write a tagline") for _ in range(2))
    assert first.text == second.text == f"{PREFIX} You asked: Write a tagline"
    assert first.usage_metadata is not None
    assert (first.usage_metadata.total_token_count or 0) > (first.usage_metadata.prompt_token_count or 0) > 0
    assert first.model_version == f"{MODEL}-local"


def test_a_stream_is_the_same_text_in_parts(client: genai.Client) -> None:
    parts = [part.text or "" for part in client.models.generate_content_stream(model=MODEL, contents="Write it")]
    assert len(parts) > 3
    assert "".join(parts) == f"{PREFIX} You asked: Write it"


def test_json_is_of_the_schema_that_was_asked_for(client: genai.Client) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "headline": {"type": "STRING"},
            "score": {"type": "INTEGER", "minimum": 1, "maximum": 5},
            "tone": {"type": "STRING", "enum": ["warm", "bold"]},
            "tags": {"type": "ARRAY", "items": {"type": "STRING"}},
            "final": {"type": "BOOLEAN"},
        },
    }
    config: Any = {"response_mime_type": "application/json", "response_schema": schema}
    made = client.models.generate_content(model=MODEL, contents="Score this", config=config)
    said = json.loads(made.text or "")
    assert said.keys() == schema["properties"].keys()  # type: ignore[attr-defined]
    assert 1 <= said["score"] <= 5
    assert said["tone"] in {"warm", "bold"}
    assert len(said["tags"]) == 1
    assert isinstance(said["final"], bool)


def test_tokens_are_counted(client: genai.Client) -> None:
    assert (client.models.count_tokens(model=MODEL, contents="x" * 400).total_tokens or 0) == 100


def test_texts_that_share_words_are_nearer(client: genai.Client) -> None:
    texts = ["a marketing plan for founders", "plans of marketing for a founder", "the tax on invoices in Karnataka"]
    made = client.models.embed_content(model=EMBEDDER, contents=texts)  # type: ignore[arg-type]
    vectors = [embedding.values or [] for embedding in made.embeddings or []]
    assert [len(vector) for vector in vectors] == [768, 768, 768]
    assert near(vectors[0], vectors[1]) > 0.5 > near(vectors[0], vectors[2]) + 0.2
    config: Any = {"output_dimensionality": 256}
    small = client.models.embed_content(model=EMBEDDER, contents="one", config=config)
    assert [len(embedding.values or []) for embedding in small.embeddings or []] == [256]


def test_nothing_to_answer_is_refused(client: genai.Client) -> None:
    with pytest.raises(ClientError, match="text parameter"):
        client.models.generate_content(model=MODEL, contents=Content(role="user", parts=[Part(text="")]))


@settings(max_examples=50, deadline=None)
@given(st.text(), st.sampled_from([1, 64, 768]))
def test_a_vector_has_length_one_or_none_and_is_the_same_each_time(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert vector == embed(text, dimensions)
    length = near(vector, vector)
    assert length == pytest.approx(1) or length == 0


def near(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_slack_takes_what_slack_takes_and_shows_it() -> None:
    base, path = "http://slack", "services/T00000000/B00000000/secret"
    url = f"{base}/{path}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(slack.application(path))) as http:
        assert (await http.post(url, json={"text": "a <b>dead</b> letter"})).text == "ok"
        for body, said in (
            (b"{", "invalid_payload"),
            (b"{}", "no_text"),
            (json.dumps({"text": "x" * 40_001}).encode(), "msg_too_long"),
            (json.dumps({"blocks": [{}] * 51}).encode(), "invalid_blocks"),
        ):
            answer = await http.post(url, content=body)
            assert (answer.status_code, answer.text) == (400, said)
        assert (await http.post(f"{base}/services/T/B/wrong", json={"text": "x"})).status_code == 404
        messages = (await http.get(f"{base}/api/messages")).json()["messages"]
        assert messages[-1]["text"] == "a <b>dead</b> letter"
        assert "a &lt;b&gt;dead&lt;/b&gt; letter" in (await http.get(base)).text


async def test_the_clouds_own_are_there(stack: Stack) -> None:
    async with httpx.AsyncClient() as http:
        sent = await http.post(stack.environment["SLACK_WEBHOOK_URL"], json={"text": "hello"})
        path = "v1/projects/p/locations/l/publishers/google/models/m:countTokens"
        body = {"contents": [{"parts": [{"text": "hello"}]}]}
        counted = await http.post(f"{stack.environment['GOOGLE_VERTEX_BASE_URL']}/{path}", json=body)
    assert (sent.text, counted.json()) == ("ok", {"totalTokens": 1})
