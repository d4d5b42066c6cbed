"""The environments of peers: pinned, hashed, and told where they come from by nothing but `make lock`."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

FOLDER = Path(__file__).parents[2] / "scripts/benchmarks/sides"
WANTED = sorted(FOLDER.glob("*.in"))


@pytest.mark.parametrize("wanted", WANTED, ids=lambda path: path.stem)
def test_a_peers_requirements_are_locked(wanted: Path) -> None:
    locked = wanted.with_suffix(".txt").read_text(encoding="utf-8")
    assert "#    make lock" in locked
    assert "://" not in locked
    packages = [line for line in locked.splitlines() if line and line[0] not in " #"]
    assert locked.count("--hash=sha256:") >= len(packages)
    pinned = {}
    for line in packages:
        one = Requirement(line.removesuffix(" \\"))
        pinned[one.name] = str(one.specifier).removeprefix("==")
    for line in wanted.read_text(encoding="utf-8").splitlines():
        asked = Requirement(line)
        assert asked.specifier.contains(pinned[asked.name]), f"{line}: run `make lock`"


def test_there_are_peers() -> None:
    assert {path.stem for path in WANTED} == {path.stem for path in FOLDER.glob("*.txt")} != set()
