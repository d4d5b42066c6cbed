"""The one client of Cloud Storage that a `CloudStorage` has: its calls, its errors, and who signs its URLs.

The official library has no asynchronous client, so each call runs in a thread, see `call_blocking`.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from common.errors import Unavailable
from common.infrastructure.calls import call_blocking
from common.infrastructure.endpoints import emulator
from common.infrastructure.gcp import GCPClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.auth.credentials import Signing
    from google.cloud.storage import Blob, Client  # type: ignore[import-untyped] # the library has no types

T = TypeVar("T")

STORAGE_SECONDS = 30.0
"""For everything that one call may take, retries included, where the invocation has that long."""


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

    @classmethod
    def of(cls, blob: Blob) -> StoredObject:
        """From what the library read of the answer."""
        return cls(blob.generation, blob.crc32c, blob.md5_hash, blob.size)


class StorageClient:
    """Opened at the first call, and shared by all calls of its event loop."""

    def __init__(self) -> None:
        self._project = GCPClient().get_project_id()
        self._opening = threading.Lock()
        self._client: Client | None = None
        self._signing: Signing | None = None

    async def run(
        self,
        what: str,
        item: str,
        call: Callable[[Client, Mapping[str, Any]], T],
        *,
        seconds: float | None = None,
    ) -> T:
        """Run ``call`` in a thread, with the client and the limits that it passes on to every request.

        Args:
            what: is being done, see `call_blocking`.
            item: ``bucket/path``.
            call: talks to Cloud Storage.
            seconds: for everything that it does; `STORAGE_SECONDS` unless it makes many requests.

        Raises:
            Unavailable: it could not be done in time, or what came was damaged; other errors as `translate` has them.
        """

        def work(seconds: float, _retry: Any) -> T:
            from google.cloud.storage.exceptions import (  # type: ignore[import-untyped] # noqa: PLC0415
                DataCorruption,
                InvalidResponse,
            )
            from google.cloud.storage.retry import DEFAULT_RETRY  # type: ignore[import-untyped] # noqa: PLC0415

            # Its own: uploads and downloads fail with errors that no other service has. Without these limits the
            # library tries for two minutes, and waits a minute for each answer.
            limit = min(seconds, STORAGE_SECONDS)
            retry = DEFAULT_RETRY.with_timeout(limit).with_delay(initial=0.1, maximum=2.0, multiplier=2.0)
            try:
                return call(self.opened(), {"timeout": limit, "retry": retry})
            except (DataCorruption, InvalidResponse) as error:
                raise Unavailable(f"{what} {item}: {type(error).__name__}") from error

        return await call_blocking(what, work, seconds=seconds or STORAGE_SECONDS, item=item)

    def opened(self) -> Client:
        """The library's client.

        Raises:
            Misconfigured: an emulator is named on a deployed function.
        """
        with self._opening:
            if self._client is None:
                from google.cloud.storage import Client  # noqa: PLC0415 - at the first call, after the cold start

                # else the first call starts a thread that reads the bucket's settings for traces, past every deadline
                os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
                emulator("STORAGE_EMULATOR_HOST")  # which the library reads by itself; refused where deployed
                self._client = Client(project=self._project)
            return self._client

    def signer(self) -> Signing:
        """Who signs URLs.

        Raises:
            Misconfigured: see `signing_credentials`.
        """
        with self._opening:
            if self._signing is None:
                from common.infrastructure.storage_signing import signing_credentials  # noqa: PLC0415

                self._signing = signing_credentials()
            return self._signing

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
