"""An HTTP endpoint for pushes: it writes down what comes and answers what the test says."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

from contextlib import asynccontextmanager

NEVER = 0
"""Instead of a status: do not answer at all."""


@dataclass(frozen=True)
class Received:
    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class Receiver:
    port: int = 0
    received: dict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    _answers: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    _default: dict[str, int] = field(default_factory=dict)
    _arrival: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, *statuses: int, then: int = 204, path: str = "/") -> None:
        """The statuses of the next requests, and of all after them."""
        self._answers[path].extend(statuses)
        self._default[path] = then

    async def requests(self, count: int, *, path: str = "/", within: float = 5.0) -> list[Received]:
        """The first ``count`` requests; an AssertionError if they do not come in time."""
        if not await self.reaches(count, path=path, within=within):
            raise AssertionError(f"{len(self.received[path])} of {count} requests within {within} s")
        return self.received[path][:count]

    async def reaches(self, count: int, *, path: str = "/", within: float) -> bool:
        try:
            async with asyncio.timeout(within), self._arrival:
                await self._arrival.wait_for(lambda: len(self.received[path]) >= count)
        except TimeoutError:
            return False
        return True

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path = first.split(" ")[1]
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        answers = self._answers[path]
        status = answers.popleft() if answers else self._default.get(path, 204)
        async with self._arrival:
            self.received[path].append(Received(time.monotonic(), headers, body))
            self._arrival.notify_all()
        if status == NEVER:
            await asyncio.Event().wait()
        length = "" if status == 204 else "Content-Length: 0\r\n"
        writer.write(f"HTTP/1.1 {status} Scripted\r\nLocation: /elsewhere\r\n{length}\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # our own tasks: in Python 3.11 a cancelled one of asyncio's logs an error
        task = asyncio.create_task(receiver.handle(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
