"""Which objects a listing shows: one page, in the order of their names."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from tools.local.storage.errors import invalid, not_implemented
from tools.local.storage.resources import shown_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.local.storage.calls import Call

MAX_RESULTS = 1000
_MISSING = ("matchGlob", "softDeleted", "includeFoldersAsPrefixes", "filter")  # "versions": all there are, are live


@dataclass
class Page:
    """One page.

    Attributes:
        names: of objects.
        prefixes: what the delimiter cuts off, each once.
        token: asks for the next page; empty after the last one.
    """

    names: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    token: str = ""


async def index(call: Call) -> Response:
    """``GET /b/{bucket}/o``."""
    for name in _MISSING:
        if call.query.get(name, "false") != "false":
            raise not_implemented(name)
    bucket = call.bucket
    page = page_of(bucket.objects, call.query)
    items = [shown_object(bucket.resource, bucket.objects[name], call.base_url) for name in page.names]
    answer = {"kind": "storage#objects", "items": items, "prefixes": page.prefixes, "nextPageToken": page.token}
    return JSONResponse({name: value for name, value in answer.items() if value})


def page_of(names: Iterable[str], query: Mapping[str, str]) -> Page:
    """The page that ``query`` asks for.

    Args:
        names: of all objects.
        query: ``prefix``, ``delimiter``, ``startOffset``, ``endOffset``, ``maxResults``, ``pageToken``.

    Raises:
        Refused: 400.
    """
    ordered = sorted(names)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    limit = _limit(query.get("maxResults", ""))
    last = _decoded(query.get("pageToken", ""))
    page, shown = Page(), ""
    for name in ordered[max(bisect_right(ordered, last), bisect_left(ordered, query.get("startOffset", ""))) :]:
        if not name.startswith(prefix) or (query.get("endOffset") and name >= query["endOffset"]):
            continue
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        entry = name if cut < 0 else name[: cut + len(delimiter)]
        if cut >= 0 and entry in {last, shown}:
            continue  # shown already, here or on the page before
        if len(page.names) + len(page.prefixes) == limit:
            page.token = base64.urlsafe_b64encode(shown.encode()).decode()
            return page
        (page.names if cut < 0 else page.prefixes).append(entry)
        shown = entry
    return page


def _limit(text: str) -> int:
    if text and (not text.isascii() or not text.isdigit() or text == "0"):
        raise invalid(f"Invalid value for maxResults: {text!r}")
    return min(int(text or MAX_RESULTS), MAX_RESULTS)


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("Invalid pageToken") from error
