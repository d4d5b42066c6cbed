"""What reaches a function over HTTP, read within bounds that the server itself does not set.

The framework's server has no cap on a body or on the number of headers, routes every method and path to the function,
and accepts ``X_Sig`` beside ``X-Sig`` (measured on functions-framework 3.10.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from common.functions.outcomes import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request as StarletteRequest

MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, whole and within bounds.

    Attributes:
        path: decoded, with ``root_path`` in front of it.
        query: undecoded.
        root_path: where the function is mounted: empty on its own URL, ``/<name>`` behind the local gateway.
        caller: e-mail of the identity that IAM admitted, empty on a public function.
        headers: case-insensitive, duplicates kept apart; names with ``_`` are left out, since a proxy may turn them
            into the names that are checked.
        body: the raw bytes; a signature is computed over exactly these.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    root_path: str = ""
    caller: str = ""

    def header(self, name: str) -> str | None:
        """The value of a header that may come once, or None.

        Raises:
            Rejected: 400, it came more than once: which one was signed, or checked, is anybody's guess.
        """
        values = self.headers.getlist(name)
        if len(values) > 1:
            raise Rejected(400, f"the header {name} must come once")
        return values[0] if values else None


def bounded_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Keep what a function may see of a request's headers.

    Raises:
        Rejected: 431, more than `MAX_HEADERS` of them or `MAX_HEADER_BYTES` in all.
    """
    everything = list(raw)
    if len(everything) > MAX_HEADERS or sum(len(n) + len(v) for n, v in everything) > MAX_HEADER_BYTES:
        raise Rejected(431, f"at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all are accepted")
    return Headers(raw=[(name, value) for name, value in everything if b"_" not in name])


async def read_body(request: StarletteRequest, limit: int) -> bytes:
    """Read the body, giving up as soon as it exceeds ``limit`` bytes.

    Raises:
        Rejected: 413.
        starlette.requests.ClientDisconnect: the caller left in the middle.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:  # Starlette's own generator does the same and takes twice as long
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(limit: int) -> Rejected:
    return Rejected(413, f"the body may have at most {limit} bytes")
