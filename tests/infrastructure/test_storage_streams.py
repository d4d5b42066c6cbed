"""Content that is never in memory as a whole, to and from a real server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from google.cloud.storage import Blob  # type: ignore[import-untyped] # the library has no types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import InvalidInput, Unavailable
from common.functions.deadline import within
from common.infrastructure import storage_transfers
from common.infrastructure.errors import AlreadyExists, NotFound
from common.infrastructure.storage import cloud_storage
from tools.local.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.stack import Stack

KIB_256 = 256 * 1024
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
async def _buckets(stack: Stack) -> None:
    await stack.make_buckets()


async def pieces(content: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in content:
        await asyncio.sleep(0)
        yield piece


async def read(path: str) -> bytes:
    return b"".join([part async for part in cloud_storage().download_stream("assets", path)])


def is_uploading(thread: threading.Thread) -> bool:
    """Whether it runs our code; the idle ones of the pool wait for work."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_filename.endswith("storage_transfers.py"):
            return True
        frame = frame.f_back
    return False


async def test_twenty_megabytes_need_a_few_parts_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", MIB)
    block = os.urandom(MIB)
    await cloud_storage().upload_stream("assets", "small", pieces([b"x"]), "text/plain")  # loads the library

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(20):
            yield bytes([number]) + block[1:]

    tracemalloc.start()
    try:
        stored = await cloud_storage().upload_stream("assets", "big", blocks(), "application/zip")
        sending = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        number = 0
        async for part in cloud_storage().download_stream("assets", "big"):
            for start in range(0, len(part), MIB):
                assert part[start : start + MIB] == bytes([number]) + block[1:]
                number += 1
        receiving = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (stored.size, number) == (20 * MIB, 20)
    assert sending < 8 * MIB
    assert receiving < 4 * MIB


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0, 1, 1000, KIB_256 - 1, KIB_256, KIB_256 + 1]), max_size=4))
async def test_what_goes_in_comes_out(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", KIB_256)
    content = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    stored = await cloud_storage().upload_stream(
        "assets", "a", pieces(content), "text/plain; charset=utf-8", metadata={"ws": "1"}
    )
    whole = b"".join(content)
    assert stored.size == len(whole)
    assert await read("a") == whole == await cloud_storage().download_file("assets", "a", generation=stored.generation)


async def test_a_stream_may_be_create_only_or_of_one_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", KIB_256)
    storage = cloud_storage()
    first = await storage.upload_stream("assets", "a", pieces([b"1"]), "text/plain", create_only=True)
    with pytest.raises(AlreadyExists, match="uploading assets/a"):
        await storage.upload_stream("assets", "a", pieces([b"2"] * 9), "text/plain", create_only=True)
    with pytest.raises(AlreadyExists):
        await storage.upload_stream("assets", "a", pieces([b"2"]), "text/plain", generation=first.generation + 1)

    async def overtaken() -> AsyncIterator[bytes]:
        yield b"x" * 3 * KIB_256
        await storage.upload_file("assets", "b", b"faster", "text/plain")
        yield b"x"

    with pytest.raises(AlreadyExists):
        await storage.upload_stream("assets", "b", overtaken(), "text/plain", create_only=True)
    assert await read("b") == b"faster"
    with pytest.raises(InvalidInput):
        await storage.upload_stream("assets", "../a", pieces([]), "text/plain")


async def test_content_that_fails_half_way_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", KIB_256)

    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * 3 * KIB_256
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cloud_storage().upload_stream("assets", "a", failing(), "text/plain")
    await nothing_is_left("a")


async def test_content_that_never_comes_ends_with_the_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", KIB_256)

    async def hanging() -> AsyncIterator[bytes]:
        yield b"x" * 3 * KIB_256
        await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        async with within(0.5):
            await cloud_storage().upload_stream("assets", "a", hanging(), "text/plain")
    await nothing_is_left("a")


async def nothing_is_left(path: str) -> None:
    assert await asyncio.to_thread(wait_until, lambda: not any(map(is_uploading, threading.enumerate())), 5)
    gc.collect()
    with pytest.raises(NotFound):
        await read(path)


async def test_a_replaced_object_is_not_read_half_old_half_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", KIB_256)
    storage = cloud_storage()
    first = await storage.upload_file("assets", "a", b"1" * 2 * KIB_256, "text/plain")
    parts = []
    with pytest.raises(NotFound, match="downloading assets/a"):
        async for part in storage.download_stream("assets", "a"):
            parts.append(part)
            await storage.upload_file("assets", "a", b"2" * 2 * KIB_256, "text/plain")
    assert parts == [b"1" * KIB_256]
    with pytest.raises(NotFound):
        await anext(storage.download_stream("assets", "a", generation=first.generation))


async def test_a_damaged_download_never_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_transfers, "PART_BYTES", KIB_256)
    storage = cloud_storage()
    await storage.upload_file("assets", "a", b"1" * (KIB_256 + 5), "text/plain")
    parts = storage.download_stream("assets", "a")
    with pytest.raises(Unavailable, match="DataCorruption"):
        async for _part in parts:
            monkeypatch.setattr(Blob, "download_as_bytes", lambda *_arguments, **_options: b"damaged")
