"""What anybody on the internet may send to a public URL: requests that a client library would not make."""

from __future__ import annotations

import socket

_POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
_JSON = _POST + b"Content-Type: application/json\r\n"
_TWO = b"Content-Length: 2\r\n\r\n{}"

BODY = b'{"event": "checkout.order.completed", "payload": {"vpa": "someone@upi"}}'
"""Something that no log line may repeat."""
REQUESTS = (
    *(method + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n" for method in (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"FOO")),
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",  # TLS, spoken to plain HTTP
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n",
    b"POST /%ff%00%2e%2e/..//x?a=%ff HTTP/1.1\r\nHost: a\r\n" + _TWO,
    b"POST /\xff\xfe HTTP/1.1\r\nHost: a\r\n" + _TWO,
    b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n" + _TWO,
    _POST + _TWO,
    _JSON + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY,
    _JSON + b"Content-Length: -1\r\n\r\n{}",
    _JSON + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    _JSON + b"Content-Length: 4000000000\r\n\r\n{}",
    _JSON + b"Content-Length: 15000000\r\n\r\n" + b"[" * 1_500_000,
    _JSON + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    _JSON + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    _JSON + b"Transfer-Encoding: gzip\r\n" + _TWO,
    _JSON + b"Content-Encoding: gzip\r\n" + _TWO,
    _JSON + b"Content-Type: application/json\r\n" + _TWO,
    _POST + b"Content-Type: \xff\xfe\r\n" + _TWO,
    _JSON + b"traceparent: \xff\r\nX-Cloud-Trace-Context: \xfe\r\nfunction-execution-id: \xe9\r\n" + _TWO,
    _JSON + b"Authorization: Bearer \xe9.\xe9.\xe9\r\n" + _TWO,
    _JSON + b"Authorization: Bearer a." + b"W" * 8000 + b".c\r\n" + _TWO,
    _JSON + b"Authorization: Bearer a.b.c\r\nAuthorization: Bearer a.b.c\r\n" + _TWO,
    _JSON + b"x-phonepe-checksum-signature: \xe9\r\n" + _TWO,
    _JSON + b"x-phonepe-checksum-signature: " + b"0" * 64 + b"\r\n" + _TWO,
    _JSON + b"".join(b"x-%d: a\r\n" % number for number in range(150)) + _TWO,
    _JSON + b"x-long: " + b"a" * 100_000 + b"\r\n" + _TWO,
)


def answered(port: int, request: bytes) -> int | None:
    """The status that a request is answered with; None where the connection is closed without a word."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(request)
            line = connection.recv(64).partition(b"\r\n")[0]
        except ConnectionError:  # closed while we were still sending
            return None
    return int(line.split(b" ")[1]) if line else None
