"""Each artefact as the platform runs it: alone in a folder, in an environment of its own requirements only."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.stock_command import stock_command
from tools.package import package

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack import Stack
    from tools.packaging.archive import Artifact

ROOT = Path(__file__).parents[2]
ARTIFACTS = {artifact.function: artifact for artifact in package(ROOT)[0]}
WATCHER = """
import os, sys

def watch(event, arguments):
    if event == "exec":
        name = getattr(arguments[0], "co_filename", "")
    elif event == "import":
        name = arguments[1] or ""  # the file of an extension module
    else:
        return
    if name and not name.startswith("<"):
        target = os.open(os.environ["LOADED_FILES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(target, name.encode() + b"\\n")
        os.close(target)

sys.addaudithook(watch)
"""
"""A ``sitecustomize`` that notes the file of every module that any of the server's processes runs."""


def source_of(artifact: Artifact) -> Path:
    kind, _, name = artifact.function.partition("-")
    folder = {"event": "events", "webhook": "webhooks", "job": "jobs", "api": "api"}[kind]
    return ROOT / "functions" / folder / name.replace("-", "_")


@pytest.fixture(scope="session")
def environment_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a virtual environment of some requirements, once for each different text."""
    folder = tmp_path_factory.mktemp("environments")

    def make(requirements: str) -> Path:
        made = folder / hashlib.sha256(requirements.encode()).hexdigest()[:12]
        if not made.exists():
            wanted = made.with_suffix(".txt")
            wanted.write_text(requirements)
            python = made / "bin" / "python"
            uv = str(Path(sys.executable).with_name("uv"))
            # Wheels, but for num2words' docopt, of which its author made none.
            wheels = ["--only-binary", ":all:", "--no-binary", "docopt"]
            commands: tuple[list[str | Path], ...] = (
                [sys.executable, "-m", "venv", "--without-pip", made],
                [uv, "pip", "install", "--python", python, "--require-hashes", *wheels, "--requirement", wanted],
                [uv, "pip", "check", "--python", python],  # the platform does, and fails the build
            )
            for command in commands:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout + done.stderr
        return made

    return make


@pytest.fixture
def unpacked(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "function"
    zipfile.ZipFile(io.BytesIO(ARTIFACTS[request.param].content)).extractall(folder)
    return folder


def test_this_repository_can_be_packed() -> None:
    """Else there would be no artefacts to test below."""
    assert [str(problem) for problem in package(ROOT)[1]] == []
    assert ARTIFACTS


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pip_takes_the_requirements_as_they_are(tmp_path: Path) -> None:
    """What the platform runs; the tests below install with uv, which takes a tenth of the time."""
    largest = max(ARTIFACTS.values(), key=lambda artifact: len(artifact.content))
    zipfile.ZipFile(io.BytesIO(largest.content)).extract("requirements.txt", tmp_path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    wanted = tmp_path / "requirements.txt"
    command: list[str | Path] = [
        tmp_path / "environment/bin/pip",
        "--disable-pip-version-check",
        "install",
        "--dry-run",
        "-r",
        wanted,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first of each closure installs it
@pytest.mark.parametrize("unpacked", sorted(ARTIFACTS), indirect=True)
def test_an_artefact_answers_its_sample_from_its_own_files_and_requirements(
    unpacked: Path,
    request: pytest.FixtureRequest,
    environment_for: Callable[[str], Path],
    stack: Stack,
    tmp_path: Path,
) -> None:
    artifact = ARTIFACTS[request.node.callspec.params["unpacked"]]
    environment = environment_for((unpacked / "requirements.txt").read_text())
    watching = tmp_path / "watching"
    watching.mkdir()
    (watching / "sitecustomize.py").write_text(WATCHER)
    noted = tmp_path / "loaded.txt"
    sample = json.loads((source_of(artifact) / "sample.json").read_text())
    variables = stack.environment | sample["environment"]
    variables |= {"PYTHONPATH": str(watching), "LOADED_FILES": str(noted), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = sample["request"]
    with stock_command(unpacked, environment / "bin", variables) as (url, process):
        answer = httpx.request(
            asked["method"], url + asked["path"], headers=asked["headers"], content=asked["body"], timeout=30
        )
        process.terminate()
        output = process.communicate(timeout=15)[0].decode()
    assert answer.status_code == sample["response"]["status"], output
    assert process.returncode == 0, output

    loaded = {Path(line) for line in noted.read_text().splitlines()} - {watching / "sitecustomize.py"}
    ours = {path.relative_to(unpacked).as_posix() for path in loaded if path.is_relative_to(unpacked)}
    assert {"main.py", "common/functions/serving.py"} <= ours
    assert ours <= set(artifact.files)
    python = Path(sysconfig.get_path("stdlib"))
    strange = {
        path
        for path in loaded
        if not (path.is_relative_to(unpacked) or path.is_relative_to(environment) or path.is_relative_to(python))
        or (path.is_relative_to(python) and "site-packages" in path.parts)
    }
    assert not strange
