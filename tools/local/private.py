"""Files that only their owner may read."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def create(path: Path, content: bytes) -> None:
    """Write a file with mode 0600, whole or not at all; what another process wrote first stays."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent)  # made with 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        Path(beside).unlink()
