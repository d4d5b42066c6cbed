"""Content that is never in memory as a whole: resumable uploads from a stream, downloads in parts.

Imported at the first of them: it loads the library of checksums.
"""

from __future__ import annotations

import asyncio
import base64
import queue
from functools import partial
from typing import TYPE_CHECKING, Any

import google_crc32c

from common.errors import Unavailable
from common.infrastructure.errors import NotFound
from common.infrastructure.storage_client import StoredObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping

    from google.cloud.storage import Blob, Client  # type: ignore[import-untyped] # the library has no types

    from common.infrastructure.storage_client import StorageClient

PART_BYTES = 4 * 1024 * 1024
"""Of one request; a multiple of 256 KiB, which resumable uploads need."""
UPLOAD_SECONDS = 3600.0
"""For a whole upload where no invocation sets a limit; each request has `STORAGE_SECONDS`."""


class _Pipe:
    """A file that the library reads in its thread, and the event loop fills: at most one part waits to be read.

    The library's own file to write into is not used: it becomes an object when it is garbage, too, so a caller that
    fails half way would store half of its content.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(1)
        self._parts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._position = 0

    async def put(self, part: bytes, sending: asyncio.Task[Any]) -> None:
        """Hand a part over once there is room for it, unless ``sending`` has ended."""
        waiting = asyncio.create_task(self._room.acquire())
        try:
            await asyncio.wait({waiting, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        self._parts.put(part)

    def give_up(self) -> None:
        """Let who reads fail: no more will come."""
        self._parts.put(None)

    def tell(self) -> int:
        """How much was read."""
        return self._position

    def read(self, _size: int) -> bytes:
        """The next part, which is as long as the library wants it; a shorter one is the last one."""
        part = self._parts.get()
        if part is None:
            raise _GivenUpError
        self._loop.call_soon_threadsafe(self._room.release)
        self._position += len(part)
        return part


class _GivenUpError(Exception):
    """Ends the thread of an upload that nobody waits for any more."""


async def upload(
    storage: StorageClient,
    item: str,
    make_blob: Callable[[Client], Blob],
    content: AsyncIterable[bytes],
    options: Mapping[str, Any],
) -> StoredObject:
    """Store what ``content`` yields; nothing is stored when it, or a request, fails.

    Args:
        storage: whose client it is.
        item: ``bucket/path``, for errors.
        make_blob: where to; with its metadata.
        content: pieces of any size, asked for in the caller's own task.
        options: content type and preconditions, for the library.

    Raises:
        Unavailable: a part could not be sent in time; other errors as `translate` has them.
    """

    def send(client: Client, limits: Mapping[str, Any]) -> StoredObject:
        blob = make_blob(client)
        blob.chunk_size = PART_BYTES
        try:
            blob.upload_from_file(pipe, checksum="crc32c", **options, **limits)
        except ValueError as error:  # the library's word for a server that kept less than it was sent
            raise Unavailable(f"uploading {item}: a part was lost") from error
        return StoredObject.of(blob)

    pipe = _Pipe()
    sending = asyncio.create_task(storage.run("uploading", item, send, seconds=UPLOAD_SECONDS))
    try:
        async for part in _parts(content):
            await pipe.put(part, sending)
            if sending.done():
                break
        return await sending
    finally:
        pipe.give_up()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _parts(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in full parts, and then one that is not full, be it empty."""
    waiting = bytearray()
    async for piece in content:
        waiting += piece
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    yield bytes(waiting)


async def download(
    storage: StorageClient, item: str, name: str, path: str, generation: int | None
) -> AsyncIterator[bytes]:
    """The content of one generation, in parts; the checksum of all is verified before the last one is given out.

    Raises:
        NotFound: there is no such object, or it was replaced or deleted meanwhile.
        Unavailable: a part did not come in time, or the whole is not what was stored.
    """

    def look(client: Client, limits: Mapping[str, Any]) -> Blob | None:
        return client.bucket(name).get_blob(path, generation=generation, **limits)

    def read(_client: Client, limits: Mapping[str, Any], blob: Blob, first: int) -> bytes:
        # of the generation that was found, which the blob names; a part has no checksum of its own
        content: bytes = blob.download_as_bytes(start=first, end=first + PART_BYTES - 1, checksum=None, **limits)
        return content

    blob = await storage.run("downloading", item, look)
    if blob is None:
        raise NotFound(f"downloading {item}: NotFound")
    size, expected, checksum = blob.size, blob.crc32c, google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    for first in range(0, size, PART_BYTES):
        part = await storage.run("downloading", item, partial(read, blob=blob, first=first))
        checksum.update(part)  # type: ignore[no-untyped-call] # the library's
        is_last = first + PART_BYTES >= size
        if is_last and base64.b64encode(checksum.digest()).decode() != expected:  # type: ignore[no-untyped-call]
            raise Unavailable(f"downloading {item}: DataCorruption")
        yield part
