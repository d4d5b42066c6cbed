"""What each function may weigh: modules loaded before its first request, packages among them, bytes of its artefact.

A number here grows only by an edit of this file, so a cold start that gets dearer is seen in review. The counts are
those of the artefact, unpacked and loaded by the framework; what the framework itself loads is not counted.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.package import package

ARTIFACTS = {artifact.function: artifact for artifact in package(Path(__file__).parents[2])[0]}


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper bounds.

    Attributes:
        modules: ours that are loaded before the first request.
        packages: of others, by their top-level names, loaded by then.
        installed: packages in its requirements.
        kib: of its zip.
    """

    modules: int
    packages: int
    installed: int
    kib: int


BUDGETS = {
    "event-on-dead-letter": Budget(modules=26, packages=0, installed=45, kib=168),
    "event-on-payment-completed": Budget(modules=35, packages=0, installed=46, kib=191),
    "event-on-payment-refunded": Budget(modules=35, packages=0, installed=46, kib=191),
    "event-on-phonepe-event": Budget(modules=46, packages=0, installed=51, kib=333),
    "job-generate-invoice": Budget(modules=59, packages=0, installed=57, kib=346),
    "webhook-phonepe": Budget(modules=26, packages=0, installed=43, kib=141),
}
NEW = {
    # A function that has just been made passes with these; give it a line of its own when it is finished.
    "webhook": Budget(modules=30, packages=0, installed=45, kib=150),
    "event": Budget(modules=40, packages=0, installed=60, kib=250),
    "job": Budget(modules=45, packages=0, installed=60, kib=300),
    "api": Budget(modules=40, packages=0, installed=50, kib=170),
}
CODE = """
import json, sys
import functions_framework.aio
before = set(sys.modules)
functions_framework.aio.create_asgi_app("main", "main.py")
loaded = set(sys.modules) - before
ours = {name for name in loaded if name.partition(".")[0] in {"common", "main"}}
others = {name.partition(".")[0] for name in loaded - ours} - sys.stdlib_module_names
others = {name for name in others if not name.startswith("_sysconfigdata")}  # the interpreter's, named by its build
print(json.dumps([sorted(ours), sorted(others)]))
"""


def budget_of(name: str) -> Budget:
    return BUDGETS.get(name) or NEW[name.partition("-")[0]]


@pytest.mark.parametrize("name", sorted(ARTIFACTS))
def test_a_function_loads_no_more_than_its_budget_before_its_first_request(name: str, tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(ARTIFACTS[name].content)).extractall(tmp_path)
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=True)
    ours, others = json.loads(done.stdout)
    assert len(ours) <= budget_of(name).modules, ours
    assert len(others) <= budget_of(name).packages, others


@pytest.mark.parametrize("name", sorted(ARTIFACTS))
def test_an_artefact_holds_no_more_than_its_budget(name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(ARTIFACTS[name].content)) as opened:
        requirements = opened.read("requirements.txt").decode()
    installed = {line.partition("==")[0].partition("[")[0] for line in requirements.splitlines() if "==" in line}
    assert len(installed) <= budget_of(name).installed, installed
    assert len(ARTIFACTS[name].content) <= budget_of(name).kib * 1024


def test_every_budget_is_of_a_function_that_exists() -> None:
    assert not BUDGETS.keys() - ARTIFACTS.keys()
