"""The whole path: the gateway as a process of its own, on the test's database and project."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tools.demo import free_port, start_gateway, stop

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stack import Stack
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


@pytest.fixture
def gateways(stack: Stack, cloud: LocalCloud, tmp_path: Path) -> Callable[..., Any]:
    """Start gateways one after the other; by default on the same port."""
    port = free_port(0)

    @contextmanager
    def start(**options: Any) -> Iterator[RunningGateway]:
        path = tmp_path / "gateway.log"
        with path.open("ab") as log:
            process = start_gateway(cloud.root, port, log, **options)
        running = RunningGateway(f"http://127.0.0.1:{port}", process, path)
        try:
            wait_until_up(running)
            yield running
        finally:
            stop(process)

    assert os.environ["GOOGLE_CLOUD_PROJECT"] == stack.environment["GOOGLE_CLOUD_PROJECT"]
    return start


@pytest.fixture
def gateway(gateways: Callable[..., Any]) -> Iterator[RunningGateway]:
    """A running gateway."""
    with gateways() as running:
        yield running


def wait_until_up(running: RunningGateway, seconds: float = 20) -> None:
    """Until it answers, or say what it wrote instead."""
    transport = httpx.HTTPTransport(retries=0)
    import time

    ends = time.monotonic() + seconds
    with httpx.Client(transport=transport) as client:
        while time.monotonic() < ends and running.process.poll() is None:
            try:
                client.get(running.url)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
    raise AssertionError(f"the gateway did not come up: {running.lines()}")
