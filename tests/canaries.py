"""Every secret setting is a canary: wherever one of the local cloud's turns up after the run, something told it.

Records are looked at as they were logged, before anything is redacted: the net below the log lines is tested elsewhere,
and must have nothing to do. Files are looked at as they are: logs of the gateways, of the services, of the servers.
"""

from __future__ import annotations

import logging
import re
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from tools.local.environment import load_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OPEN = frozenset({"phonepe_merchant_id", "phonepe_client_id"})
"""What everybody may know."""


class Watch(logging.Handler):
    """Notes who logs a canary.

    Args:
        values: the canaries by their setting's name.
    """

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__()
        self._values = values
        self.told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Look at everything that the record could say."""
        text = f"{record.getMessage()} {getattr(record, 'fields', '')}"
        if record.exc_info:
            text += logging.Formatter().formatException(record.exc_info)
        self.told |= {f"{record.name} logs {name}" for name in found(text, self._values)}


def canaries(root: Path) -> dict[str, str]:
    """The secret values of the local cloud in ``root``, by the setting's name; of ``name:secret`` the secret."""
    secrets = load_secrets(root)
    named = dict(zip((field.name for field in fields(secrets)), astuple(secrets), strict=True))
    return {name: str(value).rpartition(":")[2] for name, value in named.items() if name not in OPEN}


def found(text: str, values: dict[str, str]) -> set[str]:
    """Which canaries a text tells; one that goes on is a key of a test's own, made of it, and tells it all the same."""
    return {name for name, value in values.items() if value in text}


def in_files(files: Iterable[Path], values: dict[str, str]) -> set[str]:
    """Which canaries the files tell."""
    told = set()
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        told |= {f"{path.name} has {name}" for name in found(text, values)}
    return told


def log_files(folder: Path) -> list[Path]:
    """Every log below a folder."""
    return [
        path for path in folder.rglob("*") if path.is_file() and re.search(r"\.(?:log|jsonl)(?:\.\d+)?$", path.name)
    ]
