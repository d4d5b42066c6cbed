"""The JSON API's resumable uploads: a session, then the bytes in chunks of any number of requests."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tools.local.storage import uploads
from tools.local.storage.content import claimed_by
from tools.local.storage.errors import Refused, invalid, not_found, not_implemented
from tools.local.storage.names import Conditions, check_object_name
from tools.local.storage.resources import OBJECT_FIELDS, changed

if TYPE_CHECKING:
    from tools.local.storage.calls import Call
    from tools.local.storage.content import Content
    from tools.local.storage.store import Bucket, Resource

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_CHUNK_MULTIPLE = 256 * 1024


@dataclass
class Session:
    """A resumable upload.

    Attributes:
        bucket: where to.
        body: the object's resource, as the client described it.
        content: what has come so far.
        conditions: must hold at the end.
        made: the object, once the upload is complete.
    """

    bucket: Bucket
    body: dict[str, Any]
    content: Content
    conditions: Conditions
    made: Resource | None = None


class Uploads:
    """The uploads of one server; those that are not complete are gone after a restart."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def start(self, call: Call) -> Response:
        """``POST /upload/…/o?uploadType=media|multipart|resumable``.

        Source: https://cloud.google.com/storage/docs/uploads-downloads
        """
        for name in ("predefinedAcl", "kmsKeyName"):
            if name in call.query:
                raise not_implemented(name)
        match call.query.get("uploadType"):
            case "media":
                return await uploads.media(call)
            case "multipart":
                return await uploads.multipart(call)
            case "resumable":
                return await self._open(call)
        raise invalid("uploadType: media, multipart or resumable")

    async def _open(self, call: Call) -> Response:
        body = uploads.with_type(await call.json(), call.request.headers.get("x-upload-content-type"))
        body.setdefault("name", call.query.get("name"))
        check_object_name(body["name"])
        changed({}, body, OBJECT_FIELDS, replace=False)
        conditions, bucket = Conditions.of_query(call.query), call.bucket
        conditions.check(bucket.objects.get(body["name"]))
        identity = secrets.token_urlsafe(32)
        self._sessions[identity] = Session(bucket, body, call.store.new_content(), conditions)
        location = f"{call.base_url}{call.request.url.path[1:]}?uploadType=resumable&upload_id={identity}"
        return Response(status_code=200, headers={"Location": location, "X-GUploader-UploadID": identity})

    async def resume(self, call: Call) -> Response:
        """``PUT`` of a chunk, or of none to ask how far the upload has come.

        Source: https://cloud.google.com/storage/docs/performing-resumable-uploads
        """
        session = self._sessions.get(call.query.get("upload_id", ""))
        if session is None:
            raise not_found("No such upload")
        first, total = _content_range(call.request.headers.get("content-range"), session.content.size)
        if session.made is not None:  # the client did not hear that it is complete
            return call.answer_object(session.bucket, session.made)
        if first is not None:
            await _receive(call, session.content, first)
        size = session.content.size
        is_part = total is None and "content-range" in call.request.headers
        if is_part or (total is not None and total > size):
            return _incomplete(size)
        try:
            session.made = _commit(call, session, total)
        except Refused:
            del self._sessions[call.query["upload_id"]]
            session.content.discard()
            raise
        return call.answer_object(session.bucket, session.made)


def _commit(call: Call, session: Session, total: int | None) -> Resource:
    if total is not None and total < session.content.size:
        raise invalid(f"{session.content.size} bytes came of an upload of {total}")
    claimed = claimed_by(call.request.headers)
    return uploads.commit(call, session.bucket, session.content, session.body, claimed, session.conditions)


def _content_range(header: str | None, size: int) -> tuple[int | None, int | None]:
    """Where the chunk starts (None: there is none) and how long the upload will be (None: not known yet)."""
    if header is None:
        return size, None
    found = _CONTENT_RANGE.fullmatch(header)
    if found is None:
        raise invalid(f"Invalid Content-Range: {header!r}")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return None, total
    length = int(found[2]) + 1 - int(found[1])
    if total is None and length % _CHUNK_MULTIPLE:
        raise invalid(f"a chunk that is not the last one has a multiple of {_CHUNK_MULTIPLE} bytes")
    if int(found[1]) > size:
        raise invalid(f"the upload has {size} bytes; the next chunk starts there")
    return int(found[1]), total


async def _receive(call: Call, content: Content, first: int) -> None:
    """Append the body; what is there already is sent again after a lost answer, and skipped."""
    known = content.size - first
    try:
        async for chunk in call.request.stream():
            content.write(chunk[max(0, known) :])
            known -= len(chunk)
    finally:
        content.close()  # who knows whether more comes


def _incomplete(size: int) -> Response:
    """308, which here means: go on after these bytes."""
    headers = {"Range": f"bytes=0-{size - 1}"} if size else {}
    return Response(status_code=HTTPStatus.PERMANENT_REDIRECT, headers=headers)
