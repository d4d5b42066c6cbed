"""Objects in Cloud Storage (R28).

The official library has no asynchronous client, so each call runs in a thread. A thread cannot be stopped: the caller
gets its answer or `Unavailable` within the invocation's deadline, and the thread, which is given the same limit, ends
on its own. What was reported as unavailable may therefore still happen; `create_only` and fixed names make that
harmless.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from common.errors import InvalidInput, Unavailable
from common.functions.deadline import remaining
from common.infrastructure.endpoints import emulator
from common.infrastructure.errors import translate
from common.infrastructure.gcp import GCPClient
from common.infrastructure.object_names import check_path
from common.infrastructure.storage_config import bucket as bucket_name
from common.infrastructure.tracing import span
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.auth.credentials import Signing
    from google.cloud.storage import Client  # type: ignore[import-untyped] # the library has no types

T = TypeVar("T")
Method = Literal["GET", "HEAD", "PUT"]

STORAGE_SECONDS = 30.0
"""For everything that one call may take, retries included, where the invocation has that long."""
MAX_URL_LIFE = timedelta(days=7)
"""Cloud Storage's limit for V4 signatures."""
_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[!-~][ -~]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What Cloud Storage says that it stored.

    Attributes:
        generation: changes with every write of the same name.
        crc32c: of the content, base64 of four bytes in network order.
        md5: of the content, base64.
        size: bytes.
    """

    generation: int
    crc32c: str
    md5: str
    size: int


class CloudStorage:
    """Our buckets; one per process and event loop, see `cloud_storage`.

    ``bucket`` is always a short name of `common.infrastructure.storage_config`, ``path`` an object's name.

    Example:
        >>> stored = await cloud_storage().upload_file("exports", "exports/a.csv", b"a,b", "text/csv")
        >>> await cloud_storage().download_file("exports", "exports/a.csv")
        b'a,b'
    """

    def __init__(self) -> None:
        self._project = GCPClient().get_project_id()
        self._opening = threading.Lock()
        self._client: Client | None = None
        self._signing: Signing | None = None

    async def upload_file(
        self,
        bucket: str,
        path: str,
        content: bytes,
        content_type: str,
        *,
        create_only: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Store ``content``, replacing an object of that name.

        The content's checksum goes with it, and Cloud Storage refuses what arrives damaged.

        Args:
            bucket: its short name.
            path: the object's name.
            content: held in memory, so not for large files.
            content_type: what a download is served as, ``application/pdf``.
            create_only: never replace. A try whose answer was lost also answers `AlreadyExists`: compare the content
                where that matters.
            metadata: stored beside it.

        Raises:
            InvalidInput: the name or the content type cannot be.
            AlreadyExists: `create_only`, and there is one.
            PermissionDenied: our service account may not, or retention protects the one that is there.
            NotFound: there is no such bucket.
            Unavailable: it did not work in time.
        """
        check_path(path)
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise InvalidInput(f"not a content type: {content_type!r}")

        def upload(client: Client, limits: Mapping[str, Any]) -> StoredObject:
            blob = client.bucket(name).blob(path)
            blob.metadata = dict(metadata) if metadata else None
            generation = 0 if create_only else None
            blob.upload_from_string(content, content_type=content_type, if_generation_match=generation, **limits)
            return StoredObject(blob.generation, blob.crc32c, blob.md5_hash, blob.size)

        name = bucket_name(bucket)
        return await self._run(f"uploading {bucket}/{path}", upload)

    async def download_file(self, bucket: str, path: str) -> bytes:
        """An object's content, its checksum verified.

        Raises:
            InvalidInput: the name cannot be.
            NotFound: there is no such object.
            PermissionDenied: our service account may not.
            Unavailable: it did not work in time, or arrived damaged.
        """
        check_path(path)

        def download(client: Client, limits: Mapping[str, Any]) -> bytes:
            content: bytes = client.bucket(name).blob(path).download_as_bytes(**limits)
            return content

        name = bucket_name(bucket)
        return await self._run(f"downloading {bucket}/{path}", download)

    async def delete_file(self, bucket: str, path: str) -> None:
        """Delete an object; one that is not there is as good as deleted.

        Raises:
            InvalidInput: the name cannot be.
            PermissionDenied: our service account may not, or retention protects it.
            Unavailable: it did not work in time.
        """
        check_path(path)

        def delete(client: Client, limits: Mapping[str, Any]) -> None:
            from google.api_core.exceptions import NotFound  # noqa: PLC0415 - loaded by the client

            try:
                client.bucket(name).blob(path).delete(**limits)
            except NotFound:
                return

        name = bucket_name(bucket)
        await self._run(f"deleting {bucket}/{path}", delete)

    async def generate_signed_url(
        self, bucket: str, path: str, expiration: timedelta | float, method: Method = "GET"
    ) -> str:
        """A URL with which anyone may read or write this one object for a while; the object need not exist.

        Where no key file is used, IAM signs; such a URL is good for 12 hours at least, but may end before seven days.

        Args:
            bucket: its short name.
            path: the object's name.
            expiration: how long from now, a timedelta or whole seconds; one second to seven days.
            method: the only one that the URL allows.

        Raises:
            InvalidInput: the name, time or method cannot be.
            Misconfigured: there is nothing to sign with.
            Unavailable: IAM does not answer in time.
        """
        check_path(path)
        seconds = expiration.total_seconds() if isinstance(expiration, timedelta) else expiration
        if not 1 <= seconds <= MAX_URL_LIFE.total_seconds():
            raise InvalidInput("a signed URL is good for one second to seven days")
        if method not in get_args(Method):
            raise InvalidInput(f"a signed URL is for {', '.join(get_args(Method))}")

        def sign(client: Client, _limits: Mapping[str, Any]) -> str:
            blob, signing = client.bucket(name).blob(path), self._signer()
            url: str = blob.generate_signed_url(
                version="v4", expiration=int(seconds), method=method, credentials=signing
            )
            return url

        name = bucket_name(bucket)
        return await self._run(f"signing a URL of {bucket}/{path}", sign)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    async def _run(self, what: str, call: Callable[[Client, Mapping[str, Any]], T]) -> T:
        seconds = remaining(STORAGE_SECONDS)
        try:
            with span(what.partition("/")[0]):
                async with asyncio.timeout(seconds):
                    return await asyncio.to_thread(self._call, call, seconds, what)
        except TimeoutError as error:
            raise Unavailable(f"{what} took more than {seconds:.1f} s") from error

    def _call(self, call: Callable[[Client, Mapping[str, Any]], T], seconds: float, what: str) -> T:
        from google.api_core import exceptions  # noqa: PLC0415 - at the first call, after the cold start
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.cloud.storage.exceptions import (  # type: ignore[import-untyped] # noqa: PLC0415
            DataCorruption,
            InvalidResponse,
        )
        from google.cloud.storage.retry import DEFAULT_RETRY  # type: ignore[import-untyped] # noqa: PLC0415

        retry = DEFAULT_RETRY.with_timeout(seconds).with_delay(initial=0.1, maximum=2.0, multiplier=2.0)
        try:
            # without these the library tries for two minutes, and waits a minute for each answer
            return call(self._opened(), {"timeout": seconds, "retry": retry})
        except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
            raise translate(error, what) from error
        except (DataCorruption, InvalidResponse, GoogleAuthError, OSError) as error:  # OSError: also of `requests`
            raise Unavailable(f"{what}: {type(error).__name__}") from error

    def _opened(self) -> Client:
        with self._opening:
            if self._client is None:
                from google.cloud.storage import Client  # noqa: PLC0415

                # else the first call starts a thread that reads the bucket's settings for traces, past every deadline
                os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
                emulator("STORAGE_EMULATOR_HOST")  # which the library reads by itself; refused where deployed
                self._client = Client(project=self._project)
            return self._client

    def _signer(self) -> Signing:
        with self._opening:
            if self._signing is None:
                from common.infrastructure.storage_signing import signing_credentials  # noqa: PLC0415

                self._signing = signing_credentials()
            return self._signing


@per_loop
def cloud_storage() -> CloudStorage:
    """The client of this process and event loop."""
    return CloudStorage()
