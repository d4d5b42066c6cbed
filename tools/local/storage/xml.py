"""The XML API, for signed URLs only: GET, HEAD and PUT of one object.

Source: https://cloud.google.com/storage/docs/xml-api/overview
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from common import clock
from tools.local.storage import signing, uploads
from tools.local.storage.content import claimed_by
from tools.local.storage.downloads import media
from tools.local.storage.errors import Refused
from tools.local.storage.names import Conditions, check_object_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.local.storage.account import Account
    from tools.local.storage.calls import Call

_FIELDS = {
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "content-type": "contentType",
}
_META = "x-goog-meta-"
_LENGTH_RANGE = re.compile(r"(\d{1,18}),(\d{1,18})", re.ASCII)


async def serve(call: Call, account: Account) -> Response:
    """Answer one request, if it is signed.

    Raises:
        Refused: see `tools.local.storage.signing.verify`; 404, 405, 412.
    """
    request = call.request
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    headers = _joined(request.headers.items())
    rest = signing.verify(account, request.method, path, query, headers, clock.now())
    match request.method:
        case "GET" | "HEAD":
            return _get(call, rest, headers)
        case "PUT":
            return await _put(call, headers)
    raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "GET, HEAD and PUT", {"Allow": "GET, HEAD, PUT"})


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is signed is what is used: a header that is sent twice counts with both values."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _get(call: Call, query: dict[str, str], headers: dict[str, str]) -> Response:
    bucket = call.bucket
    item = call.store.find(bucket, call.names["object"], query.get("generation"))
    Conditions.of_headers(headers).check(item, reading=True)
    overrides = {
        name: query[parameter]
        for parameter, name in (
            ("response-content-disposition", "contentDisposition"),
            ("response-content-type", "contentType"),
        )
        if parameter in query
    }
    return media(call.request, bucket, item, overrides)


async def _put(call: Call, headers: dict[str, str]) -> Response:
    bucket = call.bucket
    check_object_name(call.names["object"])
    body = {field: headers[header] for header, field in _FIELDS.items() if header in headers}
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    smallest, largest = _length_range(headers)
    content = call.store.new_content()
    try:
        async for chunk in call.request.stream():
            content.write(chunk)
            if largest is not None and content.size > largest:
                raise Refused(HTTPStatus.BAD_REQUEST, "EntityTooLarge", f"at most {largest} bytes")
        if content.size < smallest:
            raise Refused(HTTPStatus.BAD_REQUEST, "EntityTooSmall", f"at least {smallest} bytes")
        item = uploads.commit(
            call,
            bucket,
            content,
            {**body, "metadata": metadata, "name": call.names["object"]},
            claimed_by(headers),
            Conditions.of_headers(headers),
        )
    finally:
        content.discard()
    hashes = f"crc32c={item['crc32c']},md5={item['md5Hash']}"
    return Response(status_code=200, headers={"x-goog-generation": item["generation"], "x-goog-hash": hashes})


def _length_range(headers: dict[str, str]) -> tuple[int, int | None]:
    """The least and the most bytes that a body may have.

    Source: https://cloud.google.com/storage/docs/xml-api/reference-headers, x-goog-content-length-range
    """
    value = headers.get("x-goog-content-length-range")
    if value is None:
        return 0, None
    found = _LENGTH_RANGE.fullmatch(value)
    if found is None or int(found[1]) > int(found[2]):
        raise Refused(HTTPStatus.BAD_REQUEST, "InvalidArgument", f"x-goog-content-length-range: {value!r}")
    return int(found[1]), int(found[2])
