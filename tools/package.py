"""One zip per function, with what it needs and nothing else.

    python -m tools.package                       build/<function>.zip and build/artifacts.json, for all
    python -m tools.package webhook-phonepe       only these; artifacts.json then lists only these
    python -m tools.package --json                print artifacts.json as well

A zip holds ``main.py``, the function's own modules, the modules of ``common`` that it reaches, the data files beside
them, and its own pinned and hashed ``requirements.txt``. Equal sources make equal bytes, on any machine and at any
time; its sha256 names it, so a deployment replaces the functions that an edit reaches and leaves the others alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.manifest import build as build_manifest
from tools.manifest_model import parse
from tools.packaging.archive import Artifact, archive
from tools.packaging.contents import Contents
from tools.packaging.requirements import Lock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tools.problem import Problem

INDEX = "artifacts.json"


def package(root: Path, names: Collection[str] = ()) -> tuple[list[Artifact], list[Problem]]:
    """Make the artefacts of the repository at ``root``, in memory.

    The manifest is made from the code, not read from ``functions.json``: the two may differ until it is committed, and
    the code is what runs.

    Args:
        root: of the repository.
        names: functions; none for all.

    Returns:
        The artefacts by name, none if there are problems; and the problems.

    Raises:
        LookupError: there is no such function, or the lock is older than ``pyproject.toml``.
        OSError: a file of the repository is missing.
        ValueError: the lock was not made by ``make lock``.

    Example:
        >>> artifacts, problems = package(Path(), ["webhook-phonepe"])
    """
    document, found = build_manifest(root)
    if found:
        return [], list(found)
    functions = parse(document).functions
    if unknown := sorted(set(names) - functions.keys()):
        raise LookupError(f"there is no function {unknown[0]}; there are {', '.join(functions)}")
    lock = Lock.from_file(root / "requirements.txt")
    contents = Contents(root)
    artifacts: list[Artifact] = []
    problems: list[Problem] = []
    for name in sorted(names or functions):
        groups = functions[name].groups
        files, clashes = contents.of(functions[name], lock.requirements(groups), lock.names(groups))
        problems += clashes
        artifacts.append(archive(name, files))
    return ([], sorted(set(problems))) if problems else (artifacts, [])


def index(artifacts: Iterable[Artifact]) -> dict[str, Any]:
    """What ``artifacts.json`` says: for each function its file, where it goes, and its sha256 and size in bytes."""
    return {
        artifact.function: {
            "file": artifact.file_name,
            "object": artifact.object_name,
            "sha256": artifact.sha256,
            "bytes": len(artifact.content),
        }
        for artifact in artifacts
    }


def write(artifacts: Iterable[Artifact], folder: Path) -> str:
    """Write the zips and their index; returns the index's text."""
    made = list(artifacts)
    folder.mkdir(parents=True, exist_ok=True)
    for artifact in made:
        (folder / artifact.file_name).write_bytes(artifact.content)
    text = json.dumps(index(made), indent=2, sort_keys=True) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8", newline="\n")
    return text


def remove_others(artifacts: Iterable[Artifact], folder: Path) -> None:
    """Remove the zips of functions that are no more."""
    names = {artifact.file_name for artifact in artifacts}
    for path in folder.glob("*.zip"):
        if path.name not in names:
            path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 when every zip was written. On an error none is."""
    parser = argparse.ArgumentParser(prog="python -m tools.package", description="Make one zip per function.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="functions, such as webhook-phonepe (default: all)")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: the current folder)")
    parser.add_argument("--output", type=Path, help="the folder (default: build in the repository)")
    parser.add_argument("--json", action="store_true", help="print the index")
    options = parser.parse_args(arguments)
    folder: Path = options.output or options.root / "build"
    started = time.perf_counter()
    try:
        artifacts, problems = package(options.root, options.names)
    except (OSError, LookupError, ValueError) as error:
        print(f"nothing can be packaged: {error}", file=sys.stderr)
        return 1
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        print(f"{len(problems)} problems; nothing was packaged", file=sys.stderr)
        return 1
    text = write(artifacts, folder)
    if not options.names:
        remove_others(artifacts, folder)
    if options.json:
        print(text, end="")
        return 0
    for artifact in artifacts:
        size = len(artifact.content) / 1024
        print(f"{artifact.sha256[:12]}  {size:8.1f} KiB  {len(artifact.files):3} files  {artifact.function}")
    print(f"{len(artifacts)} functions in {folder}, {time.perf_counter() - started:.2f} s")
    return 0


if __name__ == "__main__":
    gc.disable()  # as in tools.manifest: syntax trees all stay
    sys.exit(main())
