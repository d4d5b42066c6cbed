"""The gateway as a process: for the demonstration and for tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def start_gateway(
    root: Path, port: int, log: IO[bytes], *, reload: bool = False, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start the gateway, of this folder or another, as a child that ends when we do, however we do."""
    command = [
        sys.executable,
        "-m",
        "tools.gateway",
        "--root",
        str(root.resolve()),
        "--port",
        str(port),
        "--with-parent",
    ]
    return subprocess.Popen(
        [*command, *(["--reload"] if reload else [])], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL if that is not enough."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    if process.stdin:
        process.stdin.close()


def free_port(preferred: int) -> int:
    """``preferred`` if nobody listens there, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise OSError("no port is free")
