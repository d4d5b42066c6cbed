"""What one function's artefact holds: path in the zip to bytes.

``main.py`` and the function's own modules lie at the root, where the platform looks for ``main.py``; ``common`` keeps
its folders. The stock command loads ``main.py`` as a package whose folder is the root, so ``from . import payments``
finds its sibling there just as it does in the repository.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tools.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from tools.manifest_model import Function

SAMPLE = "sample.json"
"""The event that tests send; nothing reads it at run time."""
_NOT_DATA = frozenset({".py", ".pyc", ".pyi", ".md"})
_CACHE = "__pycache__"


class Contents:
    """The files of every function of a repository; each is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bytes: dict[Path, bytes] = {}
        self._data: dict[Path, tuple[Path, ...]] = {}

    def of(
        self, function: Function, requirements: str, packages: Collection[str]
    ) -> tuple[dict[str, bytes], list[Problem]]:
        """The artefact's files, and what would not work there though it does in the repository.

        Args:
            function: of the manifest.
            requirements: its ``requirements.txt``.
            packages: the packages named there.
        """
        taken = sys.stdlib_module_names | {"common", "google"} | {name.replace("-", "_") for name in packages}
        own = self._root / function.source
        files: dict[str, bytes] = {"requirements.txt": requirements.encode()}
        problems: list[Problem] = []
        for path in self._paths(function):
            name = path.relative_to(own if path.is_relative_to(own) else self._root).as_posix()
            if path.is_relative_to(own):
                problems += _clashes(name, path.relative_to(self._root).as_posix(), taken)
            files[name] = self._read(path)
        return files, problems

    def _paths(self, function: Function) -> Iterable[Path]:
        own = self._root / function.source
        yield from (path for path in self._data_files(own) if path != own / SAMPLE)
        for module in function.modules:
            path = self._root.joinpath(*module.split("."))
            if (path / "__init__.py").is_file():
                yield path / "__init__.py"
                yield from self._data_files(path)
            else:
                yield path.with_suffix(".py")

    def _data_files(self, package: Path) -> tuple[Path, ...]:
        if package not in self._data:
            self._data[package] = tuple(_data_files(package))
        return self._data[package]

    def _read(self, path: Path) -> bytes:
        if path not in self._bytes:
            self._bytes[path] = path.read_bytes()
        return self._bytes[path]


def _data_files(folder: Path) -> Iterator[Path]:
    """Fonts, templates and the like: down to the next package, whose data is its own."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == _CACHE:
            continue
        if path.is_dir():
            if not (path / "__init__.py").is_file():
                yield from _data_files(path)
        elif path.suffix not in _NOT_DATA:
            yield path


def _clashes(name: str, path: str, taken: Collection[str]) -> Iterator[Problem]:
    """The server that runs the artefact has its root on the import path, before everything else."""
    top = name.partition("/")[0]
    if top.partition(".")[0] in taken or top == "requirements.txt":
        yield Problem(path, 1, f"would hide the {top} that the server or another module needs; rename it.")
