"""Starting, recognising and stopping processes that outlive the launcher.

A launcher may be killed at any moment, so a process must never run unrecorded. Each is therefore started behind a gate,
a shell that waits for a line on its standard input:

    launcher   spawn ──▶ record pid and time of creation ──▶ open the gate
    child      waits at the gate ···························▶ exec of the real program, under the same pid

A launcher that dies before the gate is open closes the pipe, and the shell ends. A pid alone is never trusted: it is
ours only together with its time of creation, so a stranger that was given the number later is left alone.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import psutil

from common.errors import RaptorFlowError

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_GATE = 'read -r _ && exec "$@" </dev/null'
_SAME_CREATION_SECONDS = 1.0  # the kernel tells ticks since boot; the wall clock of the boot may be corrected
_POLL_SECONDS = 0.01
_SHOWN_LOG_LINES = 8


class CloudError(RaptorFlowError):
    """The local cloud cannot do what was asked; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process of ours.

    Attributes:
        pid: its number.
        created: when it was created, seconds since the epoch.
    """

    pid: int
    created: float


@dataclass(frozen=True, slots=True)
class Account:
    """Another user to run a process as."""

    uid: int
    gid: int


def find(recorded: Recorded) -> psutil.Process | None:
    """The live process that was recorded, or None if it ended; never another one with the same number."""
    try:
        process = psutil.Process(recorded.pid)
        if abs(process.create_time() - recorded.created) > _SAME_CREATION_SECONDS:
            return None
        if process.status() == psutil.STATUS_ZOMBIE:
            with suppress(ChildProcessError):  # another process is its parent and will collect it
                os.waitpid(recorded.pid, os.WNOHANG)
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    record: Callable[[Recorded], None],
    folder: Path,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, once ``record`` has returned.

    Args:
        command: the program and its arguments.
        log: standard output and error are appended to it.
        record: keeps the pid where a later launcher finds it.
        folder: the working directory.
        account: the user to run it as; None for this one.

    Raises:
        CloudError: it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "gate", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=folder,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
    except OSError as error:
        raise CloudError(f"cannot start {command[0]}: {error}") from error
    assert child.stdin is not None  # noqa: S101 - it was asked for
    try:
        record(Recorded(child.pid, psutil.Process(child.pid).create_time()))
        _open_gate(child.stdin)
    except BaseException:
        # Ctrl-C may come when the gate is open already: then it is the program by now, and would not end by itself.
        child.kill()
        child.stdin.close()
        child.wait()
        raise
    return child


def _open_gate(gate: IO[bytes]) -> None:
    with gate:
        gate.write(b"\n")


def detach(child: subprocess.Popen[bytes]) -> None:
    """Let ``child`` outlive us without the warning about a process that nobody waited for."""
    child.returncode = 0


def stop(recorded: Recorded, number: signal.Signals, *, patience: float = 5.0) -> None:
    """Ask a process to end by the signal ``number``; kill it and its children after ``patience`` seconds.

    Raises:
        CloudError: it survives even that.
    """
    process = find(recorded)
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
    if wait_until(lambda: find(recorded) is None, patience):
        return
    with suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                member.kill()
    if not wait_until(lambda: find(recorded) is None, patience):
        raise CloudError(
            f"process {recorded.pid} survives SIGKILL; its state is in `ps -o pid,stat,cmd {recorded.pid}`"
        )


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether ``condition`` becomes true within ``seconds``."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def last_lines(log: Path) -> str:
    """The end of a log, for an error message."""
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()[-_SHOWN_LOG_LINES:]
    except FileNotFoundError:
        lines = []
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"


@contextmanager
def exclusive(path: Path, busy: Callable[[], None], *, seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock file ``path``; the kernel releases it however the holder ends.

    Args:
        path: of the file, made if it is missing.
        busy: called once if another launcher holds it.
        seconds: to wait for that launcher.

    Raises:
        CloudError: another launcher still holds it.
    """
    with path.open("a") as file:

        def locked() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not locked():
            busy()
            if not wait_until(locked, seconds):
                raise CloudError(
                    f"another launcher has been at work in {path.parent} for {seconds:.0f} s: try again later"
                )
        yield
