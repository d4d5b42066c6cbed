"""Bytes on their way to becoming an object: written to a file once, counted and hashed while they pass."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

from tools.local.storage.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping


class Content:
    """A new file, and its size and checksums so far; `discard` or a commit of the store ends it."""

    def __init__(self, folder: Path) -> None:
        descriptor, path = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        self.path = Path(path)
        self.size = 0
        self._file: BinaryIO | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()  # type: ignore[no-untyped-call] # the library's

    def write(self, data: bytes) -> None:
        """Append."""
        if self._file is None:
            self._file = self.path.open("ab")
        self._file.write(data)
        self._md5.update(data)
        self._crc32c.update(data)  # type: ignore[no-untyped-call]
        self.size += len(data)

    def close(self) -> None:
        """Give the file back until more comes, if it does."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """It becomes no object; does nothing after a commit."""
        self.close()
        self.path.unlink(missing_ok=True)

    def checksums(self) -> dict[str, str]:
        """``md5Hash`` and ``crc32c`` as the API shows them."""
        crc32c: bytes = self._crc32c.digest()  # type: ignore[no-untyped-call]
        return {
            "md5Hash": base64.b64encode(self._md5.digest()).decode(),
            "crc32c": base64.b64encode(crc32c).decode(),
        }

    def verify(self, claimed: Mapping[str, str]) -> None:
        """Compare with what the client says, under the same names.

        Raises:
            Refused: 400, it is something else.
        """
        found = self.checksums()
        for name, value in found.items():
            if claimed.get(name, value) != value:
                raise invalid(f"Provided {name} {claimed[name]!r} doesn't match calculated {name} {value!r}.")


def claimed_by(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums in ``x-goog-hash`` and ``Content-MD5``.

    Example:
        >>> claimed_by({"x-goog-hash": "crc32c=yZRlqg==,md5=XrY7u+Ae7tCTyyK7j1rNww=="})
        {'crc32c': 'yZRlqg==', 'md5Hash': 'XrY7u+Ae7tCTyyK7j1rNww=='}
    """
    claimed = {}
    for part in headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name in {"crc32c", "md5"}:
            claimed["md5Hash" if name == "md5" else name] = value
    if "content-md5" in headers:
        claimed["md5Hash"] = headers["content-md5"]
    return claimed
