"""Requests over kept connections, with as little work of our own as possible."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

AS_THE_FRONT_END = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
"""What Google's front end adds to a request: a trace that is not sampled, as nearly all of them.

"sampled at a rate of 0.1 requests per second for each Cloud Run container instance":
https://cloud.google.com/run/docs/trace
"""


def request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of one."""
    said = {"host": "127.0.0.1", **headers, "content-length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def once(port: int, data: bytes) -> bool:
    """Send one on a connection of its own; whether it was answered at all."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(data)
            return connection.recv(64).startswith(b"HTTP/1.1 ")
    except OSError:
        return False


async def many(port: int, data: bytes, *, connections: int, count: int, expected: int) -> list[float]:
    """Send ``count`` requests over ``connections``; how many milliseconds each took.

    Raises:
        RuntimeError: an answer had another status than ``expected``.
    """
    taken: list[float] = []
    await asyncio.gather(
        *(_some(port, data, count // connections, f" {expected} ".encode(), taken) for _ in range(connections))
    )
    return taken


async def _some(port: int, data: bytes, count: int, expected: bytes, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        began = time.perf_counter()
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if length.strip():
            await reader.readexactly(int(length))
        taken.append((time.perf_counter() - began) * 1000)
        if expected not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"answered {head[:60]!r}, not {expected.decode().strip()}")
    writer.close()
