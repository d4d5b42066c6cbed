"""One request, with what its handler needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from tools.local.storage.errors import invalid
from tools.local.storage.resources import shown_bucket, shown_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from tools.local.storage.store import Bucket, Resource, Store

MAX_JSON_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """A request to one of the handlers.

    Attributes:
        store: all buckets.
        request: of Starlette.
        names: from the path, decoded.
        query: the last value of each parameter.
    """

    store: Store
    request: Request
    names: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def bucket(self) -> Bucket:
        """The bucket that the path names.

        Raises:
            Refused: 404.
        """
        return self.store.bucket(self.names["bucket"])

    @property
    def base_url(self) -> str:
        """How the client reached us."""
        return f"http://{self.request.headers['host']}/"

    def found(self) -> tuple[Bucket, Resource]:
        """The object that the path and ``generation`` name, with its bucket.

        Raises:
            Refused: 404.
        """
        bucket = self.bucket
        return bucket, self.store.find(bucket, self.names["object"], self.query.get("generation"))

    async def json(self) -> Any:
        """The body; an empty one is an empty object.

        Raises:
            Refused: 400, it is not JSON, or larger than a resource can be.
        """
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_JSON_BYTES:
                raise invalid("the body is too large")
        return parse_json(bytes(body))

    def answer_bucket(self, bucket: Bucket) -> JSONResponse:
        """A bucket, as the JSON API shows it."""
        return JSONResponse(shown_bucket(bucket.resource, self.base_url))

    def answer_object(self, bucket: Bucket, item: Resource) -> JSONResponse:
        """An object, as the JSON API shows it."""
        return JSONResponse(shown_object(bucket.resource, item, self.base_url))


def parse_json(body: bytes) -> Any:
    """The JSON in ``body``.

    Raises:
        Refused: 400.
    """
    try:
        return json.loads(body) if body else {}
    except ValueError as error:
        raise invalid("the body is not JSON") from error
