"""Cloud Storage down, slow or answering nonsense: the caller hears of it within its deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import Misconfigured, Unavailable
from common.functions.deadline import within
from common.infrastructure.errors import NotFound
from common.infrastructure.storage import CloudStorage, cloud_storage
from common.lifecycle import aclose_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
async def _project(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    yield
    await aclose_all()


async def failing(call: Any, seconds: float) -> tuple[Unavailable, float]:
    """How a call fails inside an invocation that has ``seconds`` left, and after how long."""
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        async with within(seconds):
            await call
    return caught.value, time.monotonic() - started


async def content() -> AsyncIterator[bytes]:
    yield b"a"


def calls_of(storage: CloudStorage) -> list[Any]:
    return [
        storage.upload_stream("assets", "a", content(), "text/plain"),
        anext(storage.download_stream("assets", "a")),
        storage.upload_file("assets", "a", b"a", "text/plain"),
        storage.download_file("assets", "a"),
        storage.delete_file("assets", "a"),
    ]


async def test_a_closed_port_is_unavailable_within_the_deadline() -> None:
    for call in calls_of(cloud_storage()):
        _error, seconds = await failing(call, 1.0)
        assert seconds < 1.5


async def test_a_hanging_server_is_unavailable_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()  # until the client gives up
        writer.close()
        connections -= 1

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for call in calls_of(cloud_storage()):
            _error, seconds = await failing(call, 0.5)
            assert seconds < 1.0
        assert connections
        async with asyncio.timeout(5):
            while connections:  # the threads end, too
                await asyncio.sleep(0.05)


async def test_a_call_is_one_request_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", raising=False)
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).partition(b" HTTP")[0])
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(NotFound):
            await cloud_storage().download_file("assets", "a")
        assert not [thread.name for thread in threading.enumerate() if "_background" in thread.name]
    assert asked == [b"GET /download/storage/v1/b/p-assets/o/a?alt=media"]


async def test_outside_an_invocation_a_call_has_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.infrastructure.storage_client.STORAGE_SECONDS", 0.3)
    with pytest.raises(Unavailable, match="downloading assets/a"):
        await cloud_storage().download_file("assets", "a")


async def test_damaged_content_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\nX-Goog-Hash: crc32c=AAAAAA==\r\n\r\ndamaged"
        )
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Unavailable, match="DataCorruption"):
            await cloud_storage().download_file("assets", "a")


async def test_an_emulator_is_refused_on_a_deployed_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_SERVICE", "job-generate-invoice")
    with pytest.raises(Misconfigured, match="STORAGE_EMULATOR_HOST"):
        await cloud_storage().download_file("assets", "a")
    with pytest.raises(Misconfigured, match="STORAGE_EMULATOR_HOST"):
        await cloud_storage().generate_signed_url("assets", "a", 60)
