"""An object's bytes, whole or a range of them, for both APIs."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from tools.local.storage.errors import Refused
from tools.local.storage.resources import etag

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import BinaryIO

    from starlette.requests import Request

    from tools.local.storage.store import Bucket, Resource

_CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_SHOWN = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding",
    "contentLanguage": "Content-Language",
    "contentType": "Content-Type",
}


def media(request: Request, bucket: Bucket, item: Resource, overrides: Mapping[str, str] | None = None) -> Response:
    """The answer with an object's bytes, or without them for HEAD.

    Args:
        request: may ask for a ``Range``; of several ranges, or a malformed one, the whole is the answer.
        bucket: where the object is.
        item: the object.
        overrides: fields of the object to answer with instead, as a signed URL may ask for.

    Raises:
        Refused: 416.
    """
    size, item = int(item["size"]), item | dict(overrides or {})
    start, end = _range(request.headers.get("range", ""), size)
    partial = (start, end) != (0, size)
    headers = _headers(item) | {"Content-Length": str(end - start)}
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    # opened now: an object that is overwritten meanwhile is read to its end
    return StreamingResponse(_read(bucket.data(item).open("rb"), start, end), status, headers)


def _headers(item: Resource) -> dict[str, str]:
    hashes = [f"crc32c={item['crc32c']}", *([f"md5={item['md5Hash']}"] if "md5Hash" in item else [])]
    shown = {header: item[name] for name, header in _SHOWN.items() if name in item}
    custom = {f"x-goog-meta-{name}": value for name, value in item.get("metadata", {}).items() if value.isascii()}
    return {
        **shown,
        **custom,
        "Accept-Ranges": "bytes",
        "ETag": f'"{etag(item)}"',
        "Last-Modified": format_datetime(datetime.fromisoformat(item["updated"]), usegmt=True),
        "x-goog-generation": item["generation"],
        "x-goog-hash": ",".join(hashes),
        "x-goog-metageneration": item["metageneration"],
        "x-goog-storage-class": item["storageClass"],
        "x-goog-stored-content-encoding": item.get("contentEncoding", "identity"),
        "x-goog-stored-content-length": item["size"],
    }


def _range(header: str, size: int) -> tuple[int, int]:
    """From where to before where."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    if found[1] and found[2] and int(found[2]) < int(found[1]):
        return 0, size
    if start >= end:
        raise Refused(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "requestedRangeNotSatisfiable",
            "Request range not satisfiable",
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end


async def _read(file: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(start)
        left = end - start
        while left and (chunk := file.read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
