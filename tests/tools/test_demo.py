"""``make run`` and ``make demo``: they play, they fail with a name, they leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tools.demo.__main__ import main
from tools.gateway_process import free_port

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "tools.demo", "--port", "0"]


def ours(root: Path) -> list[str]:
    """The processes that belong to a root."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        told = " ".join(process.info["cmdline"] or []) + str(process.info["cwd"] or "")
        if str(root) in told and process.pid != os.getpid():
            found.append(told)
    return found


def test_it_plays_a_payment_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "--root", tmp_path], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 13
    assert "plan growth active until" in done.stdout
    assert "sending a mail" in done.stdout
    assert "one activation, one invoice, one mail" in done.stdout
    assert "Where to look" in done.stdout
    assert ours(tmp_path) == []


def test_it_stays_until_it_is_told_to_stop(tmp_path: Path) -> None:
    staying = subprocess.Popen([*COMMAND, "--root", tmp_path, "--stay"], stdout=subprocess.PIPE, text=True)
    assert staying.stdout is not None
    for line in staying.stdout:
        if "Ctrl-C" in line:
            break
    assert ours(tmp_path) != []
    staying.send_signal(signal.SIGINT)
    staying.communicate(timeout=30)
    assert staying.returncode == 0
    assert ours(tmp_path) == []


def test_interrupted_in_the_middle_it_stops_what_it_started(tmp_path: Path) -> None:
    playing = subprocess.Popen([*COMMAND, "--root", tmp_path], stdout=subprocess.PIPE, text=True)
    assert playing.stdout is not None
    for line in playing.stdout:
        if "✓ 2" in line:
            break
    playing.send_signal(signal.SIGTERM)
    playing.communicate(timeout=30)
    assert playing.returncode in {0, 130}
    ends = time.monotonic() + 10
    while ours(tmp_path) and time.monotonic() < ends:
        time.sleep(0.1)
    assert ours(tmp_path) == []


def test_a_failure_names_the_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert main(["--root", str(blocked), "--port", "0"]) == 1
    said = capsys.readouterr().out
    assert "✗ 1. Start the local cloud" in said
    assert "failed: step 1 (Start the local cloud)" in said


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--stay" in capsys.readouterr().out


def test_a_taken_port_is_not_insisted_on() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
