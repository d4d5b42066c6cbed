"""What each function weighs: modules loaded before its first request, packages among them, size of its artefact.

A cold start that gets dearer, or a zip that gets bigger, is seen in review: a number here changes only by an edit of
this file. Modules and packages are exact; the size may be a twentieth below its bound, so that not every edited line is
an edit here too. All of it is of the artefact, unpacked and loaded by the framework; what the framework itself loads is
not counted.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import zipfile
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import pytest

from tools.package import package

ARTIFACTS = {artifact.function: artifact for artifact in package(Path(__file__).parents[2])[0]}
SLACK = 0.05


@dataclass(frozen=True, slots=True)
class Budget:
    """A function's weight.

    Attributes:
        modules: ours that are loaded before the first request.
        packages: of others, by their top-level names, loaded by then.
        installed: packages in its requirements.
        kib: of its zip, rounded up.
    """

    modules: int
    packages: int
    installed: int
    kib: int


BUDGETS = {
    "event-on-dead-letter": Budget(modules=29, packages=0, installed=45, kib=206),
    "event-on-payment-completed": Budget(modules=38, packages=0, installed=46, kib=230),
    "event-on-payment-refunded": Budget(modules=38, packages=0, installed=46, kib=230),
    "event-on-phonepe-event": Budget(modules=50, packages=0, installed=51, kib=402),
    "job-generate-invoice": Budget(modules=65, packages=0, installed=58, kib=405),
    "job-repair-documents": Budget(modules=37, packages=0, installed=46, kib=238),
    "webhook-phonepe": Budget(modules=29, packages=0, installed=45, kib=278),
}
NEW = {
    # Upper bounds that a function just made stays below; give it a line of its own when it is finished.
    "webhook": Budget(modules=40, packages=0, installed=50, kib=270),
    "event": Budget(modules=45, packages=0, installed=60, kib=300),
    "job": Budget(modules=50, packages=0, installed=60, kib=350),
    "api": Budget(modules=45, packages=0, installed=50, kib=250),
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


def weigh(name: str, folder: Path) -> tuple[Budget, str]:
    """What a function weighs, and the names behind the numbers."""
    content = ARTIFACTS[name].content
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    required = (folder / "requirements.txt").read_text().splitlines()
    installed = sorted({line.partition("==")[0].partition("[")[0] for line in required if "==" in line})
    done = subprocess.run([sys.executable, "-c", CODE], cwd=folder, capture_output=True, text=True, check=True)
    ours, others = json.loads(done.stdout)
    weight = Budget(len(ours), len(others), len(installed), math.ceil(len(content) / 1024))
    return weight, f"it weighs {weight}: {ours} {others} {installed}"


@pytest.mark.parametrize("name", sorted(ARTIFACTS))
def test_a_function_weighs_what_its_budget_says(name: str, tmp_path: Path) -> None:
    weight, told = weigh(name, tmp_path)
    budget = BUDGETS.get(name)
    if budget is None:
        bounds = NEW[name.partition("-")[0]]
        assert all(own <= most for own, most in zip(astuple(weight), astuple(bounds), strict=True)), told
        return
    assert replace(weight, kib=budget.kib) == budget, told
    assert budget.kib * (1 - SLACK) <= weight.kib <= budget.kib, told


def test_every_budget_is_of_a_function_that_exists() -> None:
    assert not BUDGETS.keys() - ARTIFACTS.keys()
