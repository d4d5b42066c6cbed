"""The gateway as a process of its own, for tests over real sockets."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tools.gateway_process import start_gateway, stop

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tools.local.cloud import LocalCloud


@dataclass
class RunningGateway:
    """The gateway and its log."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> str:
        """Everything the functions logged."""
        return self.log.read_text()

    def kill(self) -> None:
        """SIGKILL, as an instance dies."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(5)

    def wait_until_up(self, seconds: float = 20) -> None:
        """Until it answers, or say what it wrote instead."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and self.process.poll() is None:
            try:
                httpx.get(self.url)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the gateway did not come up: {self.lines()}")


@contextmanager
def running_gateway(cloud: LocalCloud, port: int, log: Path, **options: Any) -> Iterator[RunningGateway]:
    """Start it, wait for it, and stop it at the end."""
    with log.open("ab") as output:
        process = start_gateway(cloud.root, port, output, **options)
    running = RunningGateway(f"http://127.0.0.1:{port}", process, log)
    try:
        running.wait_until_up()
        yield running
    finally:
        stop(process)
