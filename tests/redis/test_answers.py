"""What a server may answer, scripted byte by byte; and whose time is over when."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from common.errors import Unavailable
from common.redis import link
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from common.redis.errors import OutcomeUnknown
from tests.timing import late

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Scripted:
    """A server that sends what it is told to, and what it hears; deaf, it reads nothing of what is sent to it."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.deaf = False
        self.connections = 0
        self.open = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.open += 1
        self.connections += 1
        self._changed.set()
        if self.deaf:
            reader._transport.pause_reading()  # type: ignore[attr-defined] # there is no other way
        while data := await reader.read(65536):
            self.heard += data
            self._changed.set()
        self.open -= 1
        self._changed.set()
        writer.close()

    def send(self, data: bytes) -> None:
        self._writers[-1].write(data)

    def hang_up(self) -> None:
        self._writers[-1].close()

    async def end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()  # a deaf one does not see that the client has gone
        await self.until_closed()

    async def until_heard(self, data: bytes) -> None:
        await self._until(lambda: data in self.heard)

    async def until_connected(self, times: int = 1) -> None:
        await self._until(lambda: self.connections == times)

    async def until_closed(self) -> None:
        await self._until(lambda: not self.open)

    async def _until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def scripted(password: str = "") -> AsyncIterator[tuple[Scripted, RedisClient]]:
    """A server, and a client of it that waits a second, or as long as a call says."""
    server = Scripted()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    own = f"default:{password}@" if password else ""
    client = RedisClient(RedisConfig(f"redis://{own}127.0.0.1:{port}/0", command_timeout=1))
    try:
        yield server, client
    finally:
        await client.aclose()
        await server.end()
        listening.close()


async def left_waiting(server: Scripted, client: RedisClient, *, seconds: float) -> asyncio.Task[Any]:
    """Who waits on a connection that was given up, since an answer to somebody else did not come in time."""
    patient = asyncio.create_task(client.execute("GET", "a", seconds=seconds))
    await server.until_heard(b"GET\r\n$1\r\na")
    with pytest.raises(OutcomeUnknown):
        await client.execute("GET", "b", seconds=0.1)
    return patient


async def test_answers_in_pieces_and_in_one_are_the_same() -> None:
    async with scripted() as (server, client):
        asking = asyncio.gather(client.execute("GET", "a"), client.execute("LRANGE", "b", 0, -1), client.get("c"))
        await server.until_heard(b"GET\r\n$1\r\nc")
        for byte in b"$3\r\none\r\n*2\r\n$1\r\nx\r\n*1\r\n:7\r\n$-":
            server.send(bytes([byte]))
            await asyncio.sleep(0)
        server.send(b"1\r\n")
        assert list(await asking) == ["one", ["x", [7]], None]


@pytest.mark.parametrize("then", [b"HTTP/1.1 400 Bad Request", b"-LOADING Redis is loading the dataset in memory"])
async def test_what_came_before_the_end_is_told_and_the_rest_is_in_doubt(then: bytes) -> None:
    async with scripted() as (server, client):
        asking = asyncio.gather(client.execute("INCR", "a"), client.execute("INCR", "b"), return_exceptions=True)
        await server.until_heard(b"b\r\n")
        server.send(b":1\r\n" + then + b"\r\n")
        first, second = await asking
        assert first == 1
        assert isinstance(second, OutcomeUnknown)
        await server.until_closed()


async def test_what_goes_wrong_in_reading_is_told_to_who_waits_and_to_us(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_reply: Any) -> Any:
        raise LookupError("a defect")

    async with scripted() as (server, client):
        asking = asyncio.create_task(client.execute("INCR", "a"))
        await server.until_heard(b"INCR")
        monkeypatch.setattr(link, "ours", broken)
        server.send(b":1\r\n")
        with pytest.raises(OutcomeUnknown, match="LookupError"):
            await asking
        await server.until_closed()
    assert "a defect" in caplog.text


async def test_an_error_inside_an_answer_is_that_parts_own() -> None:
    async with scripted() as (server, client):
        asking = asyncio.create_task(client.execute("EXEC2", "a"))
        await server.until_heard(b"EXEC2")
        server.send(b"*2\r\n+OK\r\n-WRONGTYPE Operation against a key\r\n")
        assert [type(part).__name__ for part in await asking] == ["str", "WrongType"]


async def test_each_caller_waits_as_long_as_it_said() -> None:
    """One timer serves them all, whatever order they come in."""

    async with scripted() as (server, client):
        opened = asyncio.create_task(client.execute("PING"))
        await server.until_heard(b"PING")
        server.send(b"+PONG\r\n")
        assert await opened == "PONG"

        async def waits(seconds: float) -> None:
            with pytest.raises(OutcomeUnknown, match=f"{seconds:.1f} s"):
                await client.execute("GET", "a", seconds=seconds)

        lates = await asyncio.gather(*(late(waits(seconds), seconds) for seconds in (0.6, 0.2, 0.4, 0.2)))
        assert all(abs(one) < 0.15 for one in lates)
        await server.until_closed()


@pytest.mark.parametrize("password", ["", "p"])
async def test_a_connection_on_which_nothing_is_answered_is_closed(password: str) -> None:
    async with scripted(password) as (server, client):
        with pytest.raises(Unavailable):
            await client.execute("GET", "a", seconds=0.1)
        await server.until_closed()


async def test_closing_tells_those_who_wait_on_a_connection_that_was_given_up() -> None:
    async with scripted() as (server, client):
        patient = await left_waiting(server, client, seconds=60)
        assert not patient.done()
        await client.aclose()
        with pytest.raises(OutcomeUnknown, match="lost"):
            await patient
        await server.until_closed()


async def test_closing_tells_also_those_whose_command_could_be_repeated() -> None:
    async with scripted() as (server, client):
        patient = asyncio.create_task(client.get("a"))
        await server.until_heard(b"GET\r\n$1\r\na")
        await client.aclose()
        with pytest.raises(OutcomeUnknown, match="lost"):
            await patient
        await server.until_closed()
        assert (client.statistics.repeated, server.connections) == (0, 1)


@pytest.mark.parametrize("turns", range(12))
async def test_closing_leaves_no_connection_however_far_it_has_come(turns: int) -> None:
    async with scripted() as (server, client):
        patient = asyncio.create_task(client.get("a"))
        for _ in range(turns):  # of the event loop: it is asked, it connects, it is connected, it has written
            await asyncio.sleep(0)
        await client.aclose()
        if turns:
            with pytest.raises(Unavailable):
                await patient
        else:
            patient.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert client._batcher()._working is None
        assert server.connections <= 1
        await server.until_closed()


async def test_who_closes_can_be_cancelled() -> None:
    async with scripted() as (server, client):
        patient = asyncio.create_task(client.get("a"))
        await server.until_heard(b"GET\r\n$1\r\na")
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(OutcomeUnknown):
            await patient


async def test_a_connection_that_was_given_up_is_closed_when_its_last_caller_has_gone() -> None:
    async with scripted() as (server, client):
        (await left_waiting(server, client, seconds=0.3)).cancel()
        await server.until_closed()


async def test_a_server_that_reads_nothing_is_given_up_though_nobody_waits_for_its_answer() -> None:
    async with scripted() as (server, client):
        server.deaf = True
        gone = asyncio.create_task(client.execute("SET", "a", b"x" * 9_000_000, seconds=0.5))
        await server.until_connected()
        while (link := client._batcher()._link) is None or not link.congested:
            await asyncio.sleep(0)
        gone.cancel()
        server.deaf = False
        asking = asyncio.create_task(client.execute("GET", "b", seconds=20))
        await server.until_connected(2)
        await server.until_heard(b"GET\r\n$1\r\nb")
        server.send(b"$1\r\nx\r\n")
        assert await asking == "x"


def test_a_time_that_is_over_at_once_does_not_harm_the_next_caller_on_uvloop() -> None:
    async def asked() -> None:
        async with scripted() as (server, client):
            hasty = asyncio.create_task(client.execute("GET", "a", seconds=0.0001))
            asking = asyncio.create_task(client.execute("GET", "b"))
            with pytest.raises(Unavailable):
                await hasty
            await server.until_heard(b"GET\r\n$1\r\nb")
            server.send(b"$1\r\nx\r\n" * server.heard.count(b"GET"))  # the hasty one may have left, too
            assert await asking == "x"

    uvloop.run(asked())
