"""What the local model says: something of the asked-for shape, made of the question, the same each time."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ECHO = 200
PREFIX = "[local model, no real answer]"


def text_of(contents: Sequence[Mapping[str, Any]]) -> str:
    """All text of a conversation."""
    return "\n".join(part["text"] for content in contents for part in content.get("parts", ()) if "text" in part)


def answer(request: Mapping[str, Any]) -> str:
    """The answer to a request: JSON of the schema where one is asked for, a sentence otherwise."""
    asked = text_of(request.get("contents", ()))
    configuration = request.get("generationConfig", {})
    if configuration.get("responseMimeType") == "application/json":
        schema = configuration.get("responseSchema") or configuration.get("responseJsonSchema") or {"type": "OBJECT"}
        return json.dumps(_instance(schema, "", asked), ensure_ascii=False)
    said = asked if len(asked) <= MAX_ECHO else f"{asked[:MAX_ECHO]}…"
    return f"{PREFIX} You asked: {said}"


def tokens(text: str) -> int:
    """About four characters each, as Google says of Gemini's."""
    return max(1, len(text) // 4) if text else 0


def _instance(schema: Mapping[str, Any], path: str, asked: str) -> Any:
    """The smallest value that a schema allows, with numbers and choices that follow from the question."""
    kind = str(schema.get("type", "STRING")).upper()
    drawn = int.from_bytes(hashlib.blake2b(f"{path} {asked}".encode(), digest_size=4).digest())
    if choices := schema.get("enum"):
        return choices[drawn % len(choices)]
    if kind == "OBJECT":
        properties = schema.get("properties", {})
        return {name: _instance(part, f"{path}.{name}", asked) for name, part in properties.items()}
    if kind == "ARRAY":
        return [_instance(schema.get("items", {}), f"{path}[0]", asked)]
    if kind in {"INTEGER", "NUMBER"}:
        low = float(schema.get("minimum", 0))
        high = float(schema.get("maximum", low + 100))
        number = low + drawn % (int(high - low) + 1)
        return int(number) if kind == "INTEGER" else number
    return drawn % 2 == 0 if kind == "BOOLEAN" else f"{PREFIX} {path.lstrip('.')}"
