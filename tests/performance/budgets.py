"""What each function weighs, and the table of what it may weigh.

    python -m tests.performance.budgets     rewrite the table, after a change that was meant (`make budgets`)

All of it is of the artefact, unpacked and loaded by the framework; what the framework itself loads is not counted.
Every number is exact. The size is the zip's: its files are stored, not compressed, so it follows from their names and
bytes alone, and no version or build of zlib has a say in it.
"""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.package import package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.packaging.archive import Artifact

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("budgets.json")
COMMAND = "make budgets"
_LOADED = """
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


@dataclass(frozen=True, slots=True)
class Budget:
    """A function's weight.

    Attributes:
        modules: ours that are loaded before the first request.
        packages: of others, by their top-level names, loaded by then.
        installed: packages in its requirements.
        bytes: of its zip.
    """

    modules: int
    packages: int
    installed: int
    bytes: int


UNITS = {
    "modules": "modules of ours loaded",
    "packages": "packages of others loaded",
    "installed": "packages installed",
    "bytes": "bytes",
}


@functools.cache
def artifacts() -> Mapping[str, Artifact]:
    """What `make package` makes of the code as it stands, by function.

    Raises:
        ValueError: nothing can be packaged, and why.
    """
    made, problems = package(ROOT)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    return {artifact.function: artifact for artifact in made}


def weigh(name: str) -> tuple[Budget, str]:
    """What a function weighs, and the names behind the numbers."""
    content = artifacts()[name].content
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
        required = Path(folder, "requirements.txt").read_text(encoding="utf-8").splitlines()
        command = [sys.executable, "-c", _LOADED]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    ours, others = json.loads(done.stdout)
    installed = sorted({line.partition("==")[0].partition("[")[0] for line in required if "==" in line})
    weight = Budget(modules=len(ours), packages=len(others), installed=len(installed), bytes=len(content))
    return weight, f"modules {ours}; packages {others}; installed {installed}"


def over(weight: Budget, bounds: Budget) -> list[str]:
    """A sentence for each number that is more than its bound."""
    return differences(weight, Budget(*map(min, astuple(weight), astuple(bounds))))


def differences(weight: Budget, budget: Budget) -> list[str]:
    """A sentence for each number that is not the budget's.

    Example:
        >>> differences(Budget(29, 0, 45, 210800), Budget(29, 0, 45, 210683))
        ['117 bytes more than the budget (210800 for 210683)']
    """
    has, may = asdict(weight), asdict(budget)
    return [
        f"{abs(has[key] - may[key])} {unit} {'more' if has[key] > may[key] else 'fewer'} than the budget "
        f"({has[key]} for {may[key]})"
        for key, unit in UNITS.items()
        if has[key] != may[key]
    ]


def read(table: Path = TABLE) -> dict[str, Budget]:
    """The table: budgets by function."""
    return {name: Budget(**budget) for name, budget in json.loads(table.read_text(encoding="utf-8")).items()}


def write(table: Path = TABLE) -> None:
    """Weigh every function, and write that as the table; a function that is no more loses its line."""
    weights = {name: asdict(weigh(name)[0]) for name in artifacts()}
    text = json.dumps(weights, indent=2, sort_keys=True) + "\n"
    table.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
