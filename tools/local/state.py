"""What one launcher leaves for the next: which processes are ours, and on which ports."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tools.local.processes import CloudError, Recorded

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
_PORTS = range(15_000, 32_000)
"""Below what Linux (32768) and macOS (49152) give to outgoing connections: one could take a port before its server."""


@dataclass
class State:
    """The content of ``state.json``.

    Attributes:
        file: where it is kept.
        ports: of every component, kept when the cloud goes down so that URLs stay the same.
        processes: those that were started and not stopped yet.
    """

    file: Path
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Recorded] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> State:
        """Read the file; without one, nothing was started.

        Raises:
            CloudError: somebody edited it.
        """
        try:
            content = json.loads(file.read_text("utf-8"))
            processes = {name: Recorded(**recorded) for name, recorded in content["processes"].items()}
            return cls(file, content["ports"], processes)
        except FileNotFoundError:
            return cls(file)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CloudError(f"{file} is damaged ({error}): stop what it names by hand, then delete it") from error

    def started(self, name: str, recorded: Recorded) -> None:
        """Remember a process."""
        self.processes[name] = recorded
        self._write()

    def stopped(self, name: str) -> None:
        """Forget a process."""
        self.processes.pop(name, None)
        self._write()

    def choose_ports(self, names: tuple[str, ...]) -> None:
        """Give each component the port that it had, if it is free, else another."""
        for name in names:
            taken = {port for other, port in self.ports.items() if other != name}
            preferred = self.ports.get(name)
            if preferred is None or not _is_free(preferred):
                self.ports[name] = _free_port(taken)

    def _write(self) -> None:
        content = {
            "ports": self.ports,
            "processes": {name: asdict(recorded) for name, recorded in self.processes.items()},
        }
        beside = self.file.with_suffix(".new")
        beside.write_text(json.dumps(content, indent=2), "utf-8")
        beside.replace(self.file)  # a reader sees the old or the new, never a half


def _free_port(taken: set[int]) -> int:
    for port in random.sample(_PORTS, 200):
        if port not in taken and _is_free(port):
            return port
    raise CloudError(f"no port between {_PORTS.start} and {_PORTS.stop} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as servers do: a connection that lingers from before does not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
