"""Which processes belong to a local cloud, found without its own records."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from tools.local.postgres import Postgres

if TYPE_CHECKING:
    from tools.local.cloud import LocalCloud


def processes_of(cloud: LocalCloud) -> list[str]:
    """The live processes that work in the cloud's folders or name them in their command."""
    folders = (str(cloud.root), str(Postgres.of(cloud.root, cloud._secrets()).folder))
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd()]
            if process.status() != psutil.STATUS_ZOMBIE and any(f in word for f in folders for word in words):
                found.append(" ".join(process.cmdline()))
    return found
