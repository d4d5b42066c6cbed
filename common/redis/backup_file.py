"""A backup as a file: JSON lines, for its owner's eyes only, there as a whole or not at all.

{"format": "raptorflow-redis-1", "pattern": "raptorflow:usage:*", "made_at": "2026-11-25T06:30:00+00:00"}
{"key": "raptorflow:usage:w:2026-11", "type": "hash", "expires_at": null, "value": [["t|25|muse", "120"]]}
{"keys": 1}
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import clock
from common.errors import InvalidInput
from common.redis.backup_entries import Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import TextIOWrapper

FORMAT = "raptorflow-redis-1"


class BackupWriter:
    """Takes what goes into the file.

    Attributes:
        count: keys written.
    """

    def __init__(self, file: TextIOWrapper) -> None:
        self.count = 0
        self._file = file

    def write(self, items: Sequence[Item]) -> None:
        """Add some keys."""
        for item in items:
            self.line({"key": item.key, **item.to_entry()})
        self.count += len(items)

    def line(self, content: Any) -> None:
        """Add one line."""
        self._file.write(json.dumps(content, ensure_ascii=False) + "\n")


@contextmanager
def writing(path: Path, pattern: str) -> Iterator[BackupWriter]:
    """Write a file beside ``path`` (mode 0600), which takes its name when the context ends without an error."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            writer = BackupWriter(file)
            writer.line({"format": FORMAT, "pattern": pattern, "made_at": clock.now().isoformat()})
            yield writer
            writer.line({"keys": writer.count})
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def items_of(path: Path) -> Iterator[Item]:
    """The keys of a file, one by one; the last step checks that it is whole.

    Raises:
        InvalidInput: it is no backup, or it was cut or edited so that it cannot be read; the message says which line.
        OSError: it cannot be read.
    """
    with path.open(encoding="utf-8") as file:
        count, end = 0, None
        for number, line in enumerate(file, start=1):
            content = _parsed(path, number, line)
            if number == 1:
                if content.get("format") != FORMAT:
                    raise InvalidInput(f"{path} is no backup of Redis: its first line must say {FORMAT}")
            elif end is not None:
                raise InvalidInput(f"{path} goes on after its last line: export it again")
            elif "key" in content:
                count += 1
                yield Item.from_entry(str(content["key"]), content)
            else:
                end = content.get("keys")
        if end != count:
            raise InvalidInput(f"{path} is not whole ({count} keys): export it again")


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InvalidInput(f"line {number} of {path} is not JSON: export it again")
    return content
