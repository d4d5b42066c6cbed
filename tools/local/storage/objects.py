"""The JSON API's objects, without their bytes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from starlette.responses import JSONResponse, Response

from tools.local.storage.downloads import media
from tools.local.storage.errors import invalid
from tools.local.storage.names import Conditions
from tools.local.storage.resources import OBJECT_FIELDS, changed, shown_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.local.storage.calls import Call
    from tools.local.storage.content import Content
    from tools.local.storage.store import Bucket, Resource

MAX_COMPONENTS = 32
_CHUNK_BYTES = 1024 * 1024


async def get(call: Call) -> Response:
    """``GET /b/{bucket}/o/{object}``, with ``alt=media`` its bytes."""
    bucket, item = call.found()
    Conditions.of_query(call.query).check(item, reading=True)
    if call.query.get("alt") == "media":
        return media(call.request, bucket, item)
    return call.answer_object(bucket, item)


async def patch(call: Call) -> Response:
    """``PATCH``; with PUT, fields that the body does not name are removed."""
    body = await call.json()
    bucket, item = call.found()
    Conditions.of_query(call.query).check(item)
    fields = changed(item, body, OBJECT_FIELDS, replace=call.request.method == "PUT")
    return call.answer_object(bucket, call.store.save(bucket, fields))


async def delete(call: Call) -> Response:
    """``DELETE``."""
    bucket, item = call.found()
    Conditions.of_query(call.query).check(item)
    call.store.delete(bucket, item)
    return Response(status_code=204)


async def copy(call: Call) -> Response:
    """``POST …/copyTo/b/{to_bucket}/o/{to_object}``."""
    target, made = await _copy(call)
    return call.answer_object(target, made)


async def rewrite(call: Call) -> Response:
    """``POST …/rewriteTo/b/{to_bucket}/o/{to_object}``, which is done at once here."""
    target, made = await _copy(call)
    return JSONResponse(
        {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": made["size"],
            "objectSize": made["size"],
            "done": True,
            "resource": shown_object(target.resource, made, call.base_url),
        }
    )


async def compose(call: Call) -> Response:
    """``POST /b/{bucket}/o/{object}/compose``: up to 32 objects, one after the other, as one."""
    body = await call.json()
    bucket = call.bucket
    parts = body.get("sourceObjects") if isinstance(body, dict) else None
    if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_COMPONENTS:
        raise invalid(f"a compose request needs 1 to {MAX_COMPONENTS} sourceObjects")
    sources = [_part(call, bucket, part) for part in parts]
    fields = changed({}, body.get("destination", {}), OBJECT_FIELDS, replace=False)
    fields["componentCount"] = sum(item.get("componentCount", 1) for item in sources)
    made = await _write(call, bucket, sources, bucket, call.names["object"], fields)
    return call.answer_object(bucket, made)


async def _copy(call: Call) -> tuple[Bucket, Resource]:
    body = await call.json()
    bucket = call.bucket
    item = call.store.find(bucket, call.names["object"], call.query.get("sourceGeneration"))
    Conditions.of_query(call.query, "ifSource").check(item)
    target = call.store.bucket(call.names["to_bucket"])
    same = {name: item[name] for name in ("componentCount", *OBJECT_FIELDS) if name in item}
    fields = changed(same, body, OBJECT_FIELDS, replace=False)
    return target, await _write(call, bucket, [item], target, call.names["to_object"], fields)


async def _write(
    call: Call, bucket: Bucket, sources: Sequence[Resource], target: Bucket, name: str, fields: Resource
) -> Resource:
    """Make the bytes of ``sources`` an object, unless somebody is faster and the conditions say so."""
    conditions = Conditions.of_query(call.query)
    conditions.check(target.objects.get(name))
    content = call.store.new_content()
    try:
        opened = [bucket.data(item).open("rb") for item in sources]  # what is deleted now can still be read
        await asyncio.to_thread(_concatenate, content, opened)
        return call.store.commit(target, name, content, fields, conditions)
    finally:
        content.discard()


def _concatenate(content: Content, sources: Sequence[BinaryIO]) -> None:
    with ExitStack() as opened:
        for source in sources:
            opened.enter_context(source)
        for source in sources:
            while chunk := source.read(_CHUNK_BYTES):
                content.write(chunk)


def _part(call: Call, bucket: Bucket, part: Any) -> Resource:
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise invalid("a source object needs a name")
    generation = part.get("generation")
    item = call.store.find(bucket, part["name"], None if generation is None else str(generation))
    conditions = part.get("objectPreconditions", {})
    Conditions.of_query({name: str(value) for name, value in conditions.items()}).check(item)
    return item
