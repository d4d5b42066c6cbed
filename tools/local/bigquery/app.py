"""BigQuery's REST API (v2) as an ASGI application. DuckDB and sqlglot are imported with the first request."""

from __future__ import annotations

import asyncio
import email
import functools
import gzip
import json
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from common import ids
from tools.local.bigquery.errors import Refused, invalid, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from tools.local.bigquery.jobs import Jobs
    from tools.local.bigquery.store import Store

    Names = Mapping[str, str]
    Handler = Callable[[Names, dict[str, Any], Mapping[str, str], Mapping[str, str]], Any]

_PROJECT = r"(?:/resumable)?(?:/upload)?(?:/bigquery/v2)?/projects/(?P<project>[^/]+)"
_DATASET = rf"{_PROJECT}/datasets/(?P<dataset>[^/]+)"
_TABLE = rf"{_DATASET}/tables/(?P<table>[^/]+)"


class BigQuery:
    """One local BigQuery; requests are served one at a time, each in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one_at_a_time = threading.Lock()
        self._uploads: dict[str, dict[str, Any]] = {}
        table: list[tuple[str, str, Handler]] = [
            ("POST", rf"{_PROJECT}/datasets", lambda n, body, _q, _h: self._store.create_dataset(n["project"], body)),
            ("GET", _DATASET, lambda n, _b, _q, _h: self._store.dataset(n["project"], n["dataset"])),
            (
                "POST",
                rf"{_DATASET}/tables",
                lambda n, body, _q, _h: self._store.create_table(n["project"], n["dataset"], body),
            ),
            ("GET", rf"{_DATASET}/tables", self._tables),
            ("GET", _TABLE, lambda n, _b, _q, _h: self._store.table(*_at(n))),
            ("PATCH", _TABLE, lambda n, body, _q, h: self._store.patch_table(*_at(n), body, h.get("if-match"))),
            ("DELETE", _TABLE, lambda n, _b, _q, _h: self._store.delete_table(*_at(n))),
            ("POST", rf"{_TABLE}/insertAll", self._insert),
            ("POST", rf"{_PROJECT}/queries", self._query),
            ("GET", rf"{_PROJECT}/queries/(?P<job>[^/]+)", lambda n, _b, q, _h: self._results(n, q)),
            ("POST", rf"{_PROJECT}/jobs", self._job),
            (
                "GET",
                rf"{_PROJECT}/jobs/(?P<job>[^/]+)",
                lambda n, _b, _q, _h: self._jobs.get(n["project"], n["job"]).resource(n["project"]),
            ),
        ]
        self._table = [(method, re.compile(pattern), handler) for method, pattern, handler in table]

    async def serve(self, request: Request) -> Response:
        """One request."""
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            answer, headers = await asyncio.to_thread(self._serve, request, body)
        except Refused as refused:
            return JSONResponse(refused.json(), refused.status)
        return JSONResponse(answer, headers=headers) if answer is not None else Response(status_code=204)

    def close(self) -> None:
        """Write everything to the file."""
        if "_store" in self.__dict__:
            self._store.close()

    @functools.cached_property
    def _store(self) -> Store:
        from tools.local.bigquery.store import Store  # noqa: PLC0415 - half a second, for who asks

        return Store(self._folder)

    @functools.cached_property
    def _jobs(self) -> Jobs:
        from tools.local.bigquery.jobs import Jobs  # noqa: PLC0415

        return Jobs(self._store)

    def _serve(self, request: Request, body: bytes) -> tuple[Any, dict[str, str]]:
        path = request.scope["path"]
        query = dict(request.query_params)
        with self._one_at_a_time:
            if query.get("uploadType") == "resumable":
                return self._resumable(request, query, body)
            if query.get("uploadType") == "multipart":
                parts = _parts(request.headers["content-type"], body)
                return self._load(path, _json(parts[0]), parts[1]), {}
            for method, pattern, handler in self._table:
                found = pattern.fullmatch(path)
                if found and method == request.method:
                    names = {name: unquote(value) for name, value in found.groupdict().items()}
                    return handler(names, _json(body) if body else {}, query, request.headers), {}
        raise not_found(f"{request.method} {path}")

    def _resumable(self, request: Request, query: Mapping[str, str], body: bytes) -> tuple[Any, dict[str, str]]:
        """Begin an upload, or take its content; it always comes whole, since the client sends a gigabyte at a time."""
        path = request.scope["path"]
        if request.method == "POST":
            upload = ids.new_id()
            self._uploads[upload] = _json(body)
            return {}, {"Location": f"{request.base_url}{path[1:]}?uploadType=resumable&upload_id={upload}"}
        try:
            wanted = self._uploads.pop(query["upload_id"])
        except KeyError:
            raise not_found("upload") from None
        return self._load(path, wanted, body), {}

    def _load(self, path: str, wanted: dict[str, Any], content: bytes) -> dict[str, Any]:
        found = re.match(_PROJECT, path)
        if found is None or "load" not in wanted.get("configuration", {}):
            raise invalid("an upload is for a load job")
        if wanted["configuration"]["load"].get("sourceFormat") != "NEWLINE_DELIMITED_JSON":
            raise invalid("the local BigQuery loads newline-delimited JSON only")
        rows = [_json(line) for line in content.splitlines() if line.strip()]
        return self._jobs.load(found["project"], wanted, rows).resource(found["project"])

    def _tables(self, names: Names, _body: Any, _query: Any, _headers: Any) -> dict[str, Any]:
        found = self._store.tables(names["project"], names["dataset"])
        return {"kind": "bigquery#tableList", "tables": found, "totalItems": len(found)}

    def _insert(self, names: Names, body: dict[str, Any], _query: Any, _headers: Any) -> dict[str, Any]:
        rows = [row["json"] for row in body["rows"]]
        identities = [row.get("insertId") for row in body["rows"]]
        bad = self._store.insert(_at(names), rows, identities, skip_invalid=bool(body.get("skipInvalidRows")))
        return {"kind": "bigquery#tableDataInsertAllResponse", **({"insertErrors": bad} if bad else {})}

    def _query(self, names: Names, body: dict[str, Any], _query: Any, _headers: Any) -> dict[str, Any]:
        job = self._jobs.query(
            names["project"], body, {"query": {"query": body.get("query", ""), "useLegacySql": False}}
        )
        formats = {f"formatOptions.{key}": str(value) for key, value in body.get("formatOptions", {}).items()}
        asked = {"maxResults": str(body.get("maxResults") or ""), **formats}
        return self._jobs.results(names["project"], job.id, asked)

    def _results(self, names: Names, query: Mapping[str, str]) -> dict[str, Any]:
        return self._jobs.results(names["project"], names["job"], query)

    def _job(self, names: Names, body: dict[str, Any], _query: Any, _headers: Any) -> dict[str, Any]:
        configuration = body["configuration"]
        if "query" not in configuration:
            raise invalid("the local BigQuery runs query and load jobs only")
        request = {**configuration["query"], "dryRun": configuration.get("dryRun", False)}
        identity = body.get("jobReference", {}).get("jobId", "")
        job = self._jobs.query(names["project"], request, configuration, identity)
        if job.failure is not None:
            raise job.failure
        return job.resource(names["project"])


def application(root: Path) -> Starlette:
    """BigQuery with its data under ``root / "bigquery"``."""
    service = BigQuery(root / "bigquery")

    async def serve(request: Request) -> Response:
        return await service.serve(request)

    made = Starlette(routes=[Route("/{path:path}", serve, methods=["DELETE", "GET", "PATCH", "POST", "PUT"])])
    made.state.service = service
    return made


def _at(names: Names) -> tuple[str, str, str]:
    return names["project"], names["dataset"], names["table"]


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise invalid(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise invalid("not a JSON object")
    return found


def _parts(content_type: str, body: bytes) -> list[bytes]:
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]  # type: ignore[misc]
