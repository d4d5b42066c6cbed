"""The gate, the record, the lock: what keeps processes from getting lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import psutil
import pytest

from tools.local import processes
from tools.local.processes import CloudError, Recorded, detach, exclusive, find, last_lines, spawn, stop, wait_until
from tools.local.state import State

if TYPE_CHECKING:
    from pathlib import Path


def start(folder: Path, script: str) -> Recorded:
    """A shell that runs ``script`` behind the gate."""
    records: list[Recorded] = []
    detach(spawn(["/bin/sh", "-c", script], log=folder / "log", record=records.append, folder=folder))
    return records[0]


def test_a_process_runs_only_once_it_is_recorded(tmp_path: Path) -> None:
    seen: list[bool] = []

    def record(recorded: Recorded) -> None:
        seen.append((tmp_path / "ran").exists())
        assert find(recorded) is not None

    child = spawn(["/bin/sh", "-c", "touch ran"], log=tmp_path / "log", record=record, folder=tmp_path)
    assert child.wait(5) == 0
    assert seen == [False]
    assert (tmp_path / "ran").exists()


def test_a_process_that_could_not_be_recorded_never_runs(tmp_path: Path) -> None:
    records: list[Recorded] = []

    def record(recorded: Recorded) -> None:
        records.append(recorded)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        spawn(["/bin/sh", "-c", "touch ran"], log=tmp_path / "log", record=record, folder=tmp_path)
    assert wait_until(lambda: find(records[0]) is None, 5)
    assert not (tmp_path / "ran").exists()


def test_a_process_whose_launcher_is_interrupted_with_the_gate_open_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Recorded] = []
    open_gate = processes._open_gate

    def interrupted(gate: IO[bytes]) -> None:
        open_gate(gate)
        assert wait_until(lambda: psutil.Process(records[0].pid).name() == "sleep", 5)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "_open_gate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spawn(["/bin/sleep", "60"], log=tmp_path / "log", record=records.append, folder=tmp_path)
    assert find(records[0]) is None


def test_a_process_survives_its_launcher_once_the_gate_is_open(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tools.local.processes import *; "
        "folder = Path(sys.argv[1]); "
        "spawn(['/bin/sleep', '60'], log=folder / 'log', folder=folder, "
        "record=lambda r: print(r.pid, r.created, flush=True)); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    launched = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert launched.returncode == -signal.SIGKILL
    pid, created = launched.stdout.split()
    recorded = Recorded(int(pid), float(created))
    assert wait_until(lambda: (p := find(recorded)) is not None and p.name() == "sleep", 5)
    stop(recorded, signal.SIGTERM)
    assert find(recorded) is None


def test_only_pid_and_creation_together_are_ours(tmp_path: Path) -> None:
    recorded = start(tmp_path, "exec sleep 60")
    assert find(recorded) is not None
    assert find(Recorded(recorded.pid, recorded.created - 10)) is None
    stop(Recorded(recorded.pid, recorded.created - 10), signal.SIGKILL)
    assert find(recorded) is not None
    stop(recorded, signal.SIGTERM)
    assert find(recorded) is None
    stop(recorded, signal.SIGTERM)  # nothing happens


def test_who_ignores_the_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    recorded = start(tmp_path, "trap '' TERM; sleep 61 & echo ready; while :; do sleep 0.05; done")
    assert wait_until(lambda: "ready" in (tmp_path / "log").read_text(), 5)
    child = next(process for process in psutil.Process(recorded.pid).children() if "61" in process.cmdline())
    stop(recorded, signal.SIGTERM, patience=0.3)
    assert find(recorded) is None
    assert wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)


def test_a_command_that_does_not_exist_is_told_by_its_log(tmp_path: Path) -> None:
    child = spawn(["/no/such/program"], log=tmp_path / "log", record=lambda _: None, folder=tmp_path)
    assert child.wait(5) == 127
    assert "/no/such/program" in last_lines(tmp_path / "log")
    assert last_lines(tmp_path / "none").strip() == "(nothing)"


def test_the_lock_has_one_holder_and_no_heir(tmp_path: Path) -> None:
    waited: list[str] = []
    with exclusive(tmp_path / "lock", lambda: waited.append("first")):
        recorded = start(tmp_path, "exec sleep 60")
        with (
            pytest.raises(CloudError, match="another launcher"),
            exclusive(tmp_path / "lock", lambda: waited.append("second"), seconds=0.05),
        ):
            raise AssertionError("two holders")
    with exclusive(tmp_path / "lock", lambda: waited.append("third")):
        assert find(recorded) is not None  # a process that we started does not hold it for us
    stop(recorded, signal.SIGTERM)
    assert waited == ["second"]


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State(tmp_path / "state.json", ports={"valkey": 1234})
    state.started("valkey", Recorded(1, 2.5))
    assert State.read(state.file) == state
    state.stopped("valkey")
    assert State.read(state.file) == State(state.file, ports={"valkey": 1234})


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"ports": {}}', '{"ports": {}, "processes": {"valkey": {"pid": 1}}}']
)
def test_a_damaged_state_is_not_guessed_at(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(CloudError, match="is damaged"):
        State.read(tmp_path / "state.json")
