"""What people and scripts get from ``python -m tools.local``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.local.cli import main
from tools.local.cloud import LocalCloud

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cloud that is up."""
    cloud = LocalCloud(tmp_path_factory.mktemp("cli"), fast=True)
    try:
        cloud.up()
        yield cloud.root
    finally:
        cloud.down()


def test_status_of_a_healthy_cloud_is_0(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--root", str(root)]) == 0
    printed = capsys.readouterr().out
    for word in ("valkey", "postgres", "pubsub", "phonepe", "identity", "healthy", "127.0.0.1:"):
        assert word in printed


def test_the_folder_may_be_named_before_the_command(root: Path) -> None:
    assert main(["--root", str(root), "status"]) == 0


def test_status_for_machines_is_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--root", str(root)]) == 0
    components = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert components["valkey"].keys() == {"name", "port", "pid", "healthy", "log"}
    assert Path(components["valkey"]["log"]).exists()


def test_status_of_a_cloud_that_is_partly_up_is_1(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid = next(component.pid for component in LocalCloud(root).status() if component.name == "valkey")
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert main(["status", "--root", str(root)]) == 1
    assert "down" in capsys.readouterr().out
    assert main(["up", "--root", str(root)]) == 0
    assert "starting Valkey" in capsys.readouterr().out


def test_up_of_a_cloud_that_is_up_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--root", str(root)]) == 0
    assert "already up" in capsys.readouterr().out


def test_status_of_a_cloud_that_is_down_is_3(tmp_path: Path) -> None:
    assert main(["status", "--root", str(tmp_path / "none")]) == 3


def test_down_of_a_cloud_that_is_down_is_0(tmp_path: Path) -> None:
    assert main(["down", "--root", str(tmp_path / "none")]) == 0


def test_an_error_is_one_sentence_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state.json").write_text("[broken]")
    assert main(["up", "--root", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("failed: ")
    assert "delete it" in error


def test_the_module_explains_itself() -> None:
    for arguments in (["--help"], ["up", "--help"]):
        told = subprocess.run(
            [sys.executable, "-m", "tools.local", *arguments],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "exit codes" in told.stdout
    assert main(["status", "--root", "/nowhere/at/all"]) == 3


def test_a_wrong_command_is_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sideways"])
    assert ended.value.code == 2
