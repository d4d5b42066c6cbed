"""Redis servers of the tests' own, which may be frozen, killed and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.gateway_process import free_port
from tools.local import valkey

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "a-token/of+tests"
KINDS = ("valkey", "redis")
"""Valkey from the wheel; Debian's redis-server 7.0, where it is installed."""


def installed(kind: str) -> bool:
    """Whether there is such a server on this machine."""
    return kind == "valkey" or shutil.which("redis-server") is not None


@dataclass
class RedisServer:
    """A server on a port of its own.

    Attributes:
        kind: one of `KINDS`.
        folder: of its settings.
    """

    kind: str
    folder: Path
    port: int = field(default_factory=lambda: free_port(0))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def full_url(self) -> str:
        """With the password."""
        return f"redis://default:{TOKEN.replace('/', '%2F').replace('+', '%2B')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        command = list(valkey.command(self.folder, self.port, TOKEN, fast=True))
        if self.kind == "redis":
            command[0] = "redis-server"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        ends = time.monotonic() + 10
        while not valkey.healthy(self.port, TOKEN):
            assert time.monotonic() < ends, (self.folder / "log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it answer nothing and close nothing, as a connection does that was forgotten on the way."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
