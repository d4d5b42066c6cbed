"""A function as the platform starts it: the stock command, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING

import httpx

from tools.gateway_process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

UP_SECONDS = 30


@contextlib.contextmanager
def stock_command(
    source: Path, programs: Path, variables: Mapping[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """``functions-framework --target main``, up and answering: its URL and its process, whose output is one pipe.

    Args:
        source: the folder of ``main.py``.
        programs: the ``bin`` of a virtual environment.
        variables: its environment, beside the least that a process needs.
    """
    port = free_port(0)
    needed = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG", "TMPDIR"}}
    own = {"PATH": f"{programs}:/usr/bin:/bin", "HOST": "127.0.0.1", "PORT": str(port)}
    process = subprocess.Popen(
        [programs / "functions-framework", "--target", "main", "--source", source / "main.py"],
        cwd=source,
        env={**needed, **own, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        ends = time.monotonic() + UP_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/robots.txt")
                break
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
