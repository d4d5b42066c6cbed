"""Cloud Storage as an ASGI application."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.local.storage import buckets, listing, objects, xml
from tools.local.storage.account import load_account
from tools.local.storage.calls import Call
from tools.local.storage.errors import Refused
from tools.local.storage.resumable import Uploads
from tools.local.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from tools.local.storage.account import Account

    Handler = Callable[[Call], Awaitable[Response]]

METHODS = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
_B = r"/storage/v1/b/(?P<bucket>[^/]+)"
_O = rf"{_B}/o/(?P<object>[^/]+)"
_TO = r"/b/(?P<to_bucket>[^/]+)/o/(?P<to_object>[^/]+)"
_JSON_API = re.compile(r"/(?:(?:resumable/)?upload/|download/|batch/)?storage/v1(?:/|$)")
_XML_API = re.compile(r"/(?P<bucket>[^/]+)/(?P<object>.+)")


class CloudStorage:
    """Finds a request's handler by its path as it came, where a slash inside a name is still encoded."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account
        uploads = Uploads()
        table: list[tuple[str, Mapping[str, Handler]]] = [
            (r"/storage/v1/b", {"GET": buckets.index, "POST": buckets.insert}),
            (
                _B,
                {"GET": buckets.get, "PATCH": buckets.patch, "PUT": buckets.patch, "DELETE": buckets.delete},
            ),
            (rf"{_B}/o", {"GET": listing.index}),
            (
                _O,
                {"GET": objects.get, "PATCH": objects.patch, "PUT": objects.patch, "DELETE": objects.delete},
            ),
            (rf"{_O}/copyTo{_TO}", {"POST": objects.copy}),
            (rf"{_O}/rewriteTo{_TO}", {"POST": objects.rewrite}),
            (rf"{_O}/compose", {"POST": objects.compose}),
            (rf"/download{_O}", {"GET": objects.get}),
            (rf"(?:/resumable)?/upload{_B}/o", {"POST": uploads.start, "PUT": uploads.resume}),
        ]
        self._table = [(re.compile(pattern), handlers) for pattern, handlers in table]

    async def serve(self, request: Request) -> Response:
        """One request of either API."""
        path = request.scope["raw_path"].decode("latin-1")
        is_json = bool(_JSON_API.match(path))
        try:
            return await (self._json_api if is_json else self._xml_api)(request, path)
        except Refused as refused:
            if refused.status == HTTPStatus.NOT_MODIFIED:
                return Response(status_code=refused.status)
            if is_json:
                return JSONResponse(refused.json(), refused.status, refused.headers)
            return Response(refused.xml(), refused.status, refused.headers, media_type="application/xml")
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it

    async def _json_api(self, request: Request, path: str) -> Response:
        _check_authorization(request)
        found = self._find(path)
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, "notFound", "Not Found")
        handlers, names = found
        if request.method not in handlers:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "methodNotAllowed", f"use {', '.join(handlers)}")
        return await handlers[request.method](self._call(request, names))

    async def _xml_api(self, request: Request, path: str) -> Response:
        found = _XML_API.fullmatch(path)
        if found is None:
            raise Refused(HTTPStatus.FORBIDDEN, "AccessDenied", "Access denied.")
        return await xml.serve(self._call(request, found.groupdict()), self._account)

    def _find(self, path: str) -> tuple[Mapping[str, Handler], Mapping[str, str]] | None:
        for pattern, handlers in self._table:
            if found := pattern.fullmatch(path):
                return handlers, found.groupdict()
        return None

    def _call(self, request: Request, names: Mapping[str, str]) -> Call:
        decoded = {name: unquote(value) for name, value in names.items()}
        return Call(self._store, request, decoded, dict(request.query_params))


def application(root: Path) -> Starlette:
    """Cloud Storage with its data under ``root / "storage"``, and the key that signs URLs beside it."""
    storage = CloudStorage(Store(root / "storage"), load_account(root))
    return Starlette(routes=[Route("/{path:path}", partial(_serve, storage), methods=METHODS)])


async def _serve(storage: CloudStorage, request: Request) -> Response:
    return await storage.serve(request)


def _check_authorization(request: Request) -> None:
    """Any bearer token, or none: the client library sends none to an emulator."""
    authorization = request.headers.get("authorization")
    scheme, _, token = (authorization or "").partition(" ")
    if authorization is not None and (scheme.lower() != "bearer" or not token.strip()):
        raise Refused(HTTPStatus.UNAUTHORIZED, "authError", "Invalid Credentials", {"WWW-Authenticate": "Bearer"})
