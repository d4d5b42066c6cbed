"""A zip whose bytes depend on its files' names and bytes and on nothing else."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that the format can say."""
_MODE = 0o100644
_UNIX = 3


@dataclass(frozen=True, slots=True)
class Artifact:
    """One function's zip.

    Attributes:
        function: ``webhook-phonepe``.
        content: its bytes.
        files: the names in it, sorted.
    """

    function: str
    content: bytes
    files: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal: the object's name, so equal code is never deployed again."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def file_name(self) -> str:
        """In the build folder."""
        return f"{self.function}.zip"

    @property
    def object_name(self) -> str:
        """In the bucket that functions are deployed from."""
        return f"{self.function}/{self.sha256}.zip"


def archive(function: str, files: Mapping[str, bytes]) -> Artifact:
    """Pack ``files``: sorted, dated 1980, readable by all, stored: compressed bytes depend on zlib's build."""
    names = sorted(files)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for name in names:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = _UNIX
            entry.external_attr = _MODE << 16
            target.writestr(entry, files[name])
    return Artifact(function, packed.getvalue(), tuple(names))
