"""A function under the stock command, and what its processes use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from scripts.benchmarks import load
from tools.gateway_process import free_port, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """A running one.

    Attributes:
        started: ``time.perf_counter()`` just before the process was started.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    def first(self, request: bytes, seconds: float = 60) -> float:
        """Send ``request`` until it is answered; milliseconds since the start of the process.

        Raises:
            RuntimeError: the server ended instead, or has not answered in time.
        """
        while time.perf_counter() - self.started < seconds and self.process.poll() is None:
            if load.once(self.port, request):
                return (time.perf_counter() - self.started) * 1000
            time.sleep(0.001)
        raise RuntimeError(f"no answer: {self.log.read_text()[-2000:]}")

    def memory(self) -> float:
        """Proportional set size of all its processes, in MiB."""
        return sum(process.memory_full_info().pss for process in self._tree()) / 2**20

    def cpu(self) -> float:
        """Microseconds of CPU that its processes have used."""
        times = [process.cpu_times() for process in self._tree()]
        return sum(one.user + one.system for one in times) * 1e6

    def _tree(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


@contextlib.contextmanager
def serving(folder: Path, environment: Path, variables: Mapping[str, str]) -> Iterator[Server]:
    """Start ``functions-framework --target main`` in ``folder``; the caller waits for its first answer."""
    port = free_port(0)
    log = folder / "server.log"
    keep = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG", "TMPDIR"}}
    own = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "HOST": "127.0.0.1", "PORT": str(port)}
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [(environment / "bin" / "functions-framework").absolute(), "--target", "main", "--source", "main.py"],
            cwd=folder,
            env={**keep, **own, **variables},
            stdout=output,
            stderr=output,
        )
    try:
        yield Server(port, process, log, started)
    finally:
        stop(process)
