"""The JSON API's uploads in one request: the bytes alone, or with the object's resource in front of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tools.local.storage.calls import MAX_JSON_BYTES, parse_json
from tools.local.storage.content import claimed_by
from tools.local.storage.errors import invalid
from tools.local.storage.names import Conditions
from tools.local.storage.resources import OBJECT_FIELDS, changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from tools.local.storage.calls import Call
    from tools.local.storage.content import Content
    from tools.local.storage.store import Bucket, Resource


async def media(call: Call) -> Response:
    """``uploadType=media``: the body is the bytes."""
    body = {"name": call.query.get("name"), "contentType": call.request.headers.get("content-type")}
    content = call.store.new_content()
    try:
        async for chunk in call.request.stream():
            content.write(chunk)
        return _answer(call, content, {name: value for name, value in body.items() if value})
    finally:
        content.discard()


async def multipart(call: Call) -> Response:
    """``uploadType=multipart``: two parts, the resource as JSON and the bytes (RFC 2387)."""
    kind, options = parse_options_header(call.request.headers.get("content-type", ""))
    if kind != b"multipart/related" or b"boundary" not in options:
        raise invalid("Content-Type must be multipart/related with a boundary")
    content = call.store.new_content()
    try:
        parts = _Parts(content)
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        try:
            async for chunk in call.request.stream():
                parser.write(chunk)
            parser.finalize()
        except FormParserError as error:
            raise invalid("Malformed multipart body.") from error
        if parts.ended != 2:
            raise invalid("a multipart upload has two parts: the resource and the bytes")
        body = with_type(parse_json(bytes(parts.resource)), parts.content_type)
        body.setdefault("name", call.query.get("name"))
        return _answer(call, content, body)
    finally:
        content.discard()


class _Parts:
    """Takes the two parts as they come: the first one into memory, the second one into the file."""

    def __init__(self, content: Content) -> None:
        self.resource = bytearray()
        self.content_type: str | None = None
        self.ended = 0
        self._content = content
        self._header = b""
        self._value = b""

    def callbacks(self) -> Any:
        return {
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_header_field": self._field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
        }

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self.ended:
            self._content.write(data[start:end])
            return
        self.resource += data[start:end]
        if len(self.resource) > MAX_JSON_BYTES:
            raise invalid("the resource is too large")

    def _end(self) -> None:
        self.ended += 1

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self.ended and self._header.lower() == b"content-type":
            self.content_type = self._value.decode("latin-1")
        self._header = self._value = b""


def with_type(body: Any, content_type: str | None) -> dict[str, Any]:
    """The resource, with the bytes' content type if it names none.

    Raises:
        Refused: 400, it is not a JSON object.
    """
    if not isinstance(body, dict):
        raise invalid("the resource must be a JSON object")
    return {"contentType": content_type, **body} if content_type else body


def _answer(call: Call, content: Content, body: dict[str, Any]) -> Response:
    bucket = call.bucket
    made = commit(call, bucket, content, body, claimed_by(call.request.headers), Conditions.of_query(call.query))
    return call.answer_object(bucket, made)


def commit(
    call: Call,
    bucket: Bucket,
    content: Content,
    body: dict[str, Any],
    claimed: Mapping[str, str],
    conditions: Conditions,
) -> Resource:
    """Make an object of what came, if it is what was sent.

    Args:
        call: the last request.
        bucket: where to.
        content: the bytes.
        body: the resource; its checksums are the client's.
        claimed: the checksums in the headers.
        conditions: must hold.

    Raises:
        Refused: 400, 403, 412.
    """
    in_body = {name: body[name] for name in ("crc32c", "md5Hash") if body.get(name)}
    content.verify({**claimed, **in_body})
    fields = changed({}, body, OBJECT_FIELDS, replace=False)
    return call.store.commit(bucket, body.get("name", ""), content, fields, conditions)
