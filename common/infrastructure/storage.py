"""Objects in Cloud Storage (R28).

The official library has no asynchronous client, so each call runs in a thread. A thread cannot be stopped: the caller
gets its answer or `Unavailable` within the invocation's deadline, and the thread, which is given the same limit, ends
on its own. What was reported as unavailable may therefore still happen; `create_only` and fixed names make that
harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.infrastructure.object_names import check_path
from common.infrastructure.storage_client import StorageClient, StoredObject
from common.infrastructure.storage_config import bucket as bucket_name
from common.infrastructure.storage_urls import upload_options, url_options
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
    from datetime import timedelta

    from google.cloud.storage import Blob, Client  # type: ignore[import-untyped] # the library has no types

    from common.infrastructure.storage_urls import Method

__all__ = ["CloudStorage", "StoredObject", "cloud_storage"]


class CloudStorage:
    """Our buckets; one per process and event loop, see `cloud_storage`.

    ``bucket`` is always a short name of `common.infrastructure.storage_config`, ``path`` an object's name.

    Example:
        >>> stored = await cloud_storage().upload_file("exports", "exports/a.csv", b"a,b", "text/csv")
        >>> await cloud_storage().download_file("exports", "exports/a.csv")
        b'a,b'
    """

    def __init__(self) -> None:
        self._storage = StorageClient()

    async def upload_file(
        self,
        bucket: str,
        path: str,
        content: bytes,
        content_type: str,
        *,
        create_only: bool = False,
        generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Store ``content``, replacing an object of that name.

        The content's checksum goes with it, and Cloud Storage refuses what arrives damaged.

        Args:
            bucket: its short name.
            path: the object's name.
            content: held in memory, so not for large files: see `upload_stream`.
            content_type: what a download is served as, ``application/pdf``.
            create_only: never replace. A try whose answer was lost also answers `AlreadyExists`: compare the content
                where that matters.
            generation: replace this one only, as `StoredObject` told it.
            metadata: stored beside it.

        Raises:
            InvalidInput: the name or the content type cannot be.
            AlreadyExists: `create_only`, and there is one; or another than ``generation``, or none, is there.
            PermissionDenied: our service account may not, or retention protects the one that is there.
            NotFound: there is no such bucket.
            Unavailable: it did not work in time.
        """
        options = upload_options(path, content_type, create_only=create_only, generation=generation)

        def upload(client: Client, limits: Mapping[str, Any]) -> StoredObject:
            blob = make_blob(client)
            blob.upload_from_string(content, **options, **limits)
            return StoredObject.of(blob)

        make_blob = _blob_of(bucket, path, metadata)
        return await self._storage.run("uploading", f"{bucket}/{path}", upload)

    async def upload_stream(
        self,
        bucket: str,
        path: str,
        content: AsyncIterable[bytes],
        content_type: str,
        *,
        create_only: bool = False,
        generation: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Store what ``content`` yields, by a resumable upload: a few parts of 4 MiB are in memory at a time.

        A part that gets lost is sent again. There is no object before the last part has arrived and the checksum of
        all of them is right; when ``content`` raises, there never is one.

        Args:
            bucket: its short name.
            path: the object's name.
            content: pieces of any size.
            content_type: see `upload_file`, as the others.
            create_only: checked at the start and at the end.
            generation: so is this.
            metadata: stored beside it.

        Raises:
            the same as `upload_file`, and whatever ``content`` raises.

        Example:
            >>> async def rows() -> AsyncIterator[bytes]:
            ...     async for row in cursor:
            ...         yield to_csv(row)
            >>> stored = await cloud_storage().upload_stream("exports", "exports/all.csv", rows(), "text/csv")
        """
        options = upload_options(path, content_type, create_only=create_only, generation=generation)
        make_blob = _blob_of(bucket, path, metadata)
        from common.infrastructure import storage_transfers  # noqa: PLC0415 - at the first stream

        return await storage_transfers.upload(self._storage, f"{bucket}/{path}", make_blob, content, options)

    async def download_file(self, bucket: str, path: str, *, generation: int | None = None) -> bytes:
        """An object's content, its checksum verified.

        Raises:
            InvalidInput: the name cannot be.
            NotFound: there is no such object, or not of this ``generation`` any more.
            PermissionDenied: our service account may not.
            Unavailable: it did not work in time, or arrived damaged.
        """
        check_path(path)

        def download(client: Client, limits: Mapping[str, Any]) -> bytes:
            content: bytes = client.bucket(name).blob(path, generation=generation).download_as_bytes(**limits)
            return content

        name = bucket_name(bucket)
        return await self._storage.run("downloading", f"{bucket}/{path}", download)

    async def download_stream(self, bucket: str, path: str, *, generation: int | None = None) -> AsyncIterator[bytes]:
        """An object's content in parts of 4 MiB, each asked for when the one before is done with.

        All parts are of one generation. The checksum of the whole is verified before the last part is given out: who
        got no error has what was stored; until then it is a draft.

        Raises:
            the same as `download_file`; NotFound also when the object is replaced or deleted meanwhile.

        Example:
            >>> async for part in cloud_storage().download_stream("exports", "exports/all.csv"):
            ...     file.write(part)
        """
        check_path(path)
        name = bucket_name(bucket)
        from common.infrastructure import storage_transfers  # noqa: PLC0415 - at the first stream

        async for part in storage_transfers.download(self._storage, f"{bucket}/{path}", name, path, generation):
            yield part

    async def delete_file(self, bucket: str, path: str, *, generation: int | None = None) -> None:
        """Delete an object; one that is not there is as good as deleted.

        Raises:
            InvalidInput: the name cannot be.
            AlreadyExists: another than ``generation`` is there.
            PermissionDenied: our service account may not, or retention protects it.
            Unavailable: it did not work in time.
        """
        check_path(path)

        def delete(client: Client, limits: Mapping[str, Any]) -> None:
            from google.api_core.exceptions import NotFound  # noqa: PLC0415 - loaded by the client

            try:
                client.bucket(name).blob(path).delete(if_generation_match=generation, **limits)
            except NotFound:
                return

        name = bucket_name(bucket)
        await self._storage.run("deleting", f"{bucket}/{path}", delete)

    async def generate_signed_url(
        self,
        bucket: str,
        path: str,
        expiration: timedelta | float,
        method: Method = "GET",
        *,
        content_type: str = "",
        max_bytes: int | None = None,
    ) -> str:
        """A URL with which anyone may read or write this one object for a while; the object need not exist.

        Where no key file is used, IAM signs; such a URL is good for 12 hours at least, but may end before seven days.

        Args:
            bucket: its short name.
            path: the object's name.
            expiration: how long from now, a timedelta or whole seconds; one second to seven days.
            method: the only one that the URL allows.
            content_type: PUT only, and needed there: it is part of the signature, so the request must send it as its
                ``Content-Type``; else whoever has the URL could store a page that runs scripts.
            max_bytes: PUT only: the request must send ``x-goog-content-length-range: 0,<max_bytes>``, and Cloud
                Storage refuses a longer body.

        Raises:
            InvalidInput: the name, time, method, content type or size cannot be.
            Misconfigured: there is nothing to sign with.
            Unavailable: IAM does not answer in time.
        """
        options = url_options(path, expiration, method, content_type, max_bytes)

        def sign(client: Client, _limits: Mapping[str, Any]) -> str:
            blob, signer = client.bucket(name).blob(path), self._storage.signer()
            url: str = blob.generate_signed_url(**options, credentials=signer)
            return url

        name = bucket_name(bucket)
        return await self._storage.run("signing a URL of", f"{bucket}/{path}", sign)

    def close(self) -> None:
        """Close the connections."""
        self._storage.close()


@per_loop
def cloud_storage() -> CloudStorage:
    """The client of this process and event loop."""
    return CloudStorage()


def _blob_of(bucket: str, path: str, metadata: Mapping[str, str] | None) -> Callable[[Client], Blob]:
    def make(client: Client) -> Blob:
        blob = client.bucket(name).blob(path)
        blob.metadata = dict(metadata) if metadata else None
        return blob

    name = bucket_name(bucket)
    return make
