"""The JSON API's buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from common import clock
from tools.local.storage.errors import invalid
from tools.local.storage.names import Conditions
from tools.local.storage.resources import BUCKET_FIELDS, changed, shown_bucket, with_retention

if TYPE_CHECKING:
    from tools.local.storage.calls import Call

_DEFAULTS: dict[str, Any] = {
    "location": "US",
    "locationType": "region",
    "storageClass": "STANDARD",
    "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": False}, "publicAccessPrevention": "inherited"},
}


async def insert(call: Call) -> Response:
    """``POST /b?project=…``."""
    body = await call.json()
    if "project" not in call.query:
        raise invalid("Required parameter: project")
    resource = changed(_DEFAULTS, body, BUCKET_FIELDS, replace=False)
    resource |= {"name": body.get("name"), "location": str(body.get("location", "US")).upper()}
    bucket = call.store.create_bucket(call.query["project"], with_retention(resource, {}, clock.now()))
    return call.answer_bucket(bucket)


async def index(call: Call) -> Response:
    """``GET /b?project=…``."""
    if "project" not in call.query:
        raise invalid("Required parameter: project")
    prefix = call.query.get("prefix", "")
    items = [
        shown_bucket(bucket.resource, call.base_url)
        for bucket in call.store.buckets(call.query["project"])
        if bucket.resource["name"].startswith(prefix)
    ]
    return JSONResponse({"kind": "storage#buckets", "items": items})


async def get(call: Call) -> Response:
    """``GET /b/{bucket}``."""
    bucket = call.bucket
    Conditions.of_query(call.query).check(bucket.resource, reading=True)
    return call.answer_bucket(bucket)


async def patch(call: Call) -> Response:
    """``PATCH /b/{bucket}``; with PUT, settings that the body does not name are removed."""
    body = await call.json()
    bucket = call.bucket
    Conditions.of_query(call.query).check(bucket.resource)
    resource = changed(bucket.resource, body, BUCKET_FIELDS, replace=call.request.method == "PUT")
    complete = {**_DEFAULTS, **with_retention(resource, bucket.resource, clock.now())}
    call.store.save_bucket(bucket, complete)
    return call.answer_bucket(bucket)


async def delete(call: Call) -> Response:
    """``DELETE /b/{bucket}``."""
    Conditions.of_query(call.query).check(call.bucket.resource)
    call.store.delete_bucket(call.names["bucket"])
    return Response(status_code=204)
