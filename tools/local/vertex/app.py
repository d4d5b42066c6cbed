"""The REST API of Vertex AI's models, as far as google-genai calls it for text and embeddings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tools.local.vertex.answers import answer, text_of, tokens
from tools.local.vertex.embedding import DEFAULT_DIMENSIONS, MAX_DIMENSIONS, embed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request

MAX_TEXTS = 250
"""Of one request for embeddings. Source: https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings"""
_MODEL = "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:{method}"


async def serve(request: Request) -> Response:
    """One call of a model."""
    method, model = request.path_params["method"], request.path_params["model"]
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        return _refused("Invalid JSON payload received.")
    if method not in _METHODS:
        return _refused(f"The local Vertex AI does not implement {method}.", 501)
    if method != "predict" and not _asked(body):
        return _refused("Unable to submit request because it must have a text parameter.")
    return _METHODS[method](body, model)


def _asked(body: dict[str, Any]) -> str:
    return text_of(body.get("contents") or ([body["content"]] if "content" in body else []))


def _generate(body: dict[str, Any], model: str) -> Response:
    return JSONResponse(_candidate(body, answer(body), model))


def _generate_parts(body: dict[str, Any], model: str) -> Response:
    return StreamingResponse(_stream(body, model), media_type="text/event-stream")


def _count(body: dict[str, Any], _model: str) -> Response:
    return JSONResponse({"totalTokens": tokens(_asked(body))})


def _embed_one(body: dict[str, Any], _model: str) -> Response:
    wanted = body.get("embedContentConfig", {}).get("outputDimensionality") or body.get("outputDimensionality")
    count = tokens(_asked(body))
    values = embed(_asked(body), wanted or DEFAULT_DIMENSIONS)
    usage = {"promptTokenCount": count, "totalTokenCount": count}
    return JSONResponse({"embedding": {"values": values}, "usageMetadata": usage})


def _embed_many(body: dict[str, Any], _model: str) -> Response:
    texts = [instance.get("content", "") for instance in body.get("instances", ())]
    dimensions = body.get("parameters", {}).get("outputDimensionality") or DEFAULT_DIMENSIONS
    if not 1 <= len(texts) <= MAX_TEXTS or not all(texts):
        return _refused(f"1 to {MAX_TEXTS} texts can be embedded, none of them empty.")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        return _refused(f"outputDimensionality must be 1 to {MAX_DIMENSIONS}.")
    made = []
    for text in texts:
        statistics = {"token_count": tokens(text), "truncated": False}
        made.append({"embeddings": {"values": embed(text, dimensions), "statistics": statistics}})
    return JSONResponse({"predictions": made})


_METHODS: Mapping[str, Callable[[dict[str, Any], str], Response]] = {
    "generateContent": _generate,
    "streamGenerateContent": _generate_parts,
    "countTokens": _count,
    "embedContent": _embed_one,
    "predict": _embed_many,
}


def _candidate(body: dict[str, Any], said: str, model: str, *, done: bool = True) -> dict[str, Any]:
    asked = tokens(text_of(body["contents"]))
    given = tokens(said)
    return {
        "candidates": [
            {
                "index": 0,
                "content": {"role": "model", "parts": [{"text": said}]},
                **({"finishReason": "STOP"} if done else {}),
            }
        ],
        "usageMetadata": {
            "promptTokenCount": asked,
            "candidatesTokenCount": given,
            "totalTokenCount": asked + given,
        },
        "modelVersion": f"{model}-local",
    }


def _stream(body: dict[str, Any], model: str) -> Iterator[str]:
    words = answer(body).split(" ")
    for number, word in enumerate(words, 1):
        last = number == len(words)
        said = word if last else f"{word} "
        yield f"data: {json.dumps(_candidate(body, said, model, done=last))}\r\n\r\n"


def _refused(message: str, status: int = 400) -> Response:
    name = "INVALID_ARGUMENT" if status == 400 else "UNIMPLEMENTED"
    return JSONResponse({"error": {"code": status, "message": message, "status": name}}, status)


def application() -> Starlette:
    """Vertex AI; it remembers nothing."""
    return Starlette(routes=[Route(_MODEL, serve, methods=["POST"])])
