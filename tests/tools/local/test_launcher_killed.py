"""Whenever the launcher dies, ``down`` leaves no process behind and ``up`` gets through."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.tools.local.leftovers import processes_of
from tools.local.cloud import LocalCloud
from tools.local.processes import Recorded
from tools.local.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    made = LocalCloud(tmp_path / "cloud")
    yield made
    made.down()
    made._delete()


def launcher(cloud: LocalCloud) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.local", "up", "--root", str(cloud.root)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_record(cloud: LocalCloud, name: str) -> None:
    """Until the launcher has recorded the process ``name``."""
    for _ in range(2000):
        try:
            if name in json.loads((cloud.root / "state.json").read_text())["processes"]:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.005)
    raise AssertionError(f"{name} was never recorded")


@pytest.mark.parametrize("moment", ["services", "valkey", "initdb", "postgres"])
def test_down_after_the_launcher_was_killed_at_the_start_of(cloud: LocalCloud, moment: str) -> None:
    with launcher(cloud) as started:
        wait_for_record(cloud, moment)
        started.kill()
    cloud.down()
    assert processes_of(cloud) == []
    assert State.read(cloud.root / "state.json").processes == {}


@pytest.mark.parametrize("seconds", [0.2, 0.3, 0.4, 0.5, 0.6])
def test_up_after_the_launcher_was_killed_at_any_time(cloud: LocalCloud, seconds: float) -> None:
    with launcher(cloud) as started:
        time.sleep(seconds)  # at any time, that is the point
        started.kill()
    cloud.up()
    assert all(component.healthy for component in cloud.status())
    cloud.down()
    assert processes_of(cloud) == []


def test_down_after_the_launcher_was_done_and_is_gone(cloud: LocalCloud) -> None:
    with launcher(cloud) as started:
        assert started.wait(30) == 0
    assert len(processes_of(cloud)) >= 3
    cloud.down()
    assert processes_of(cloud) == []


def test_an_interrupted_launcher_stops_what_it_was_starting(cloud: LocalCloud) -> None:
    with launcher(cloud) as started:
        wait_for_record(cloud, "valkey")
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 130
    assert processes_of(cloud) == []


def test_two_launchers_at_once_start_one_cloud(cloud: LocalCloud) -> None:
    launchers = [launcher(cloud) for _ in range(2)]
    assert [process.wait(60) for process in launchers] == [0, 0]
    assert all(component.healthy for component in cloud.status())
    serving = [line for line in processes_of(cloud) if "valkey-server" in line or "tools.local.services" in line]
    assert len(serving) == 2


def test_a_stranger_with_a_recorded_pid_is_left_alone(cloud: LocalCloud) -> None:
    cloud.root.mkdir()
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        try:
            created = psutil.Process(stranger.pid).create_time()
            state = State(cloud.root / "state.json", ports={"valkey": 1, "postgres": 1, "identity": 1})
            for name in ("services", "valkey", "postgres"):
                state.started(name, Recorded(stranger.pid, created - 3600))
            assert not any(component.healthy or component.pid for component in cloud.status())
            cloud.down()
            assert stranger.poll() is None
            assert State.read(cloud.root / "state.json").processes == {}
        finally:
            stranger.kill()
