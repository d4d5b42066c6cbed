"""What a backup says of one key, as JSON that a person can read.

    {"type": "hash", "expires_at": "2026-11-25T06:30:00.000+00:00", "value": [["field", "value"], ...]}

Text stands for itself; bytes that are not UTF-8 are ``{"base64": "..."}``. A hash and a sorted set are pairs; a stream
is pairs of an id and the words of its entry. Scores are text, as the server writes them: JSON has no infinity.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from common.redis.errors import InvalidValue

Entry: TypeAlias = dict[str, Any]
"""One key's type, end and value."""

_STREAM_ID = re.compile(rb"[0-9]{1,20}-[0-9]{1,20}")
_ORDERED = frozenset({"list", "stream"})


@dataclass(slots=True)
class Item:
    """One key, its values as bytes.

    Attributes:
        key: its name.
        type: as the command TYPE says it.
        elements: of a string its value alone; of a hash ``[field, value]``; of a sorted set ``[member, score]``; of a
            stream ``[id, words]``.
        expires_at: when it ends; None for never.
    """

    key: str
    type: str
    elements: list[Any] = field(default_factory=list)
    expires_at: datetime | None = None

    def to_entry(self) -> Entry:
        """As JSON; what has no order is sorted, so that equal data is equal text."""
        ends = None if self.expires_at is None else self.expires_at.isoformat(timespec="milliseconds")
        value: Any
        if self.type == "string":
            value = to_text(self.elements[0])
        else:
            value = _to_json(self.elements if self.type in _ORDERED else sorted(self.elements))
        return {"type": self.type, "expires_at": ends, "value": value}

    @classmethod
    def from_entry(cls, key: str, entry: Any) -> Item:
        """From JSON.

        Raises:
            InvalidValue: it is not what `to_entry` writes; the message names the key.
        """
        try:
            return cls(key, entry["type"], _elements(entry["type"], entry["value"]), _moment(entry["expires_at"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidValue(f"{key} is not as a backup writes it ({error}): export it again") from None


def to_text(data: bytes) -> Any:
    """Bytes as JSON."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def from_text(value: Any) -> bytes:
    """The bytes that ``value`` stands for.

    Raises:
        TypeError: it is neither text nor base64.
        ValueError: it is not base64, or not Unicode.
    """
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"base64"}:
        return base64.b64decode(value["base64"], validate=True)
    raise TypeError(f"{type(value).__name__} is neither text nor base64")


def unique(elements: list[Any]) -> list[Any]:
    """Each member or field once, with its last value."""
    return list({element[0] if isinstance(element, list) else element: element for element in elements}.values())


def _to_json(elements: list[Any]) -> list[Any]:
    return [to_text(element) if isinstance(element, bytes) else _to_json(element) for element in elements]


def _elements(kind: Any, value: Any) -> list[Any]:
    if kind == "string":
        return [from_text(value)]
    if not isinstance(value, list) or not value:
        raise TypeError("its value is not a list with elements")
    if kind == "list":
        return [from_text(element) for element in value]
    if kind == "set":
        return unique([from_text(element) for element in value])
    if kind == "hash":
        return unique([[from_text(name), from_text(content)] for name, content in value])
    if kind == "zset":
        return unique([[from_text(member), _score(score)] for member, score in value])
    if kind == "stream":
        return [[_stream_id(name), _words(words)] for name, words in value]
    raise ValueError(f"there is no type {kind!r}")


def _moment(value: Any) -> datetime | None:
    moment = None if value is None else datetime.fromisoformat(value)
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment


def _score(value: Any) -> bytes:
    if not isinstance(value, str) or float(value) != float(value):
        raise ValueError("a score is a number, as text")
    return value.encode()


def _stream_id(value: Any) -> bytes:
    name = from_text(value)
    if not _STREAM_ID.fullmatch(name):
        raise ValueError(f"{name!r} is no id of a stream")
    return name


def _words(value: Any) -> list[bytes]:
    if not isinstance(value, list) or not value or len(value) % 2:
        raise ValueError("an entry of a stream has fields and values")
    return [from_text(word) for word in value]
