"""What the local cloud consists of: three processes, and what each of them listens for."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.local.services import SERVICES

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One of the three.

    Attributes:
        components: what it listens for, each with a port of that name.
        stop_signal: ends it cleanly.
    """

    components: tuple[str, ...]
    stop_signal: signal.Signals


# In the order of stopping: who uses another goes first. "initdb" is there for a moment only, before postgres.
PROCESSES = {
    "services": Process(tuple(SERVICES), signal.SIGTERM),
    "valkey": Process(("valkey",), signal.SIGTERM),
    "initdb": Process((), signal.SIGTERM),
    "postgres": Process(("postgres",), signal.SIGINT),
}
SERVERS = tuple(name for name, process in PROCESSES.items() if process.components)


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """How one component is.

    Attributes:
        name: what it is called.
        port: on the loopback address; None if it was never started.
        pid: of its process; None if that is not running.
        healthy: whether it answers.
        log: where its process writes.
    """

    name: str
    port: int | None
    pid: int | None
    healthy: bool
    log: Path
