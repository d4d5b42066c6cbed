"""P11: packing every function, and what one edit redeploys, against a copy of all of ``common`` in every zip."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, absolute, compared

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.benchmarks.bench import Bench


def measure(bench: Bench) -> list[Row]:
    """Seconds for all functions, their bytes, and how many zips an edit of one module of ``common`` changes."""
    seconds, hashes = [], set()
    for number in range(bench.rounds + 1):
        began = time.perf_counter()
        artifacts = bench.artifacts()
        if number:
            seconds.append(time.perf_counter() - began)
        hashes.add(tuple(artifact.sha256 for artifact in artifacts.values()))
    functions = bench.functions()
    whole = _code(bench.root / "common")
    packed = [float(_code(bench.unpacked(artifact))) for artifact in bench.artifacts().values()]
    copied = [float(whole + _code(bench.root / functions[name]["source"])) for name in sorted(functions)]
    shared = sorted({module for function in functions.values() for module in function["modules"]} - {"common"})
    changed = [
        float(sum(module in function["modules"] for function in functions.values()))
        for module in shared
        if module.startswith("common.")
    ]
    against = "all of common in every zip"
    every = [float(len(functions))] * len(changed)
    return [
        absolute("P11", f"packing {len(functions)} functions", statistics.median(seconds), "s", 1.0),
        absolute("P11", "different results of equal sources", float(len(hashes) - 1), "", 0),
        compared("P11", "zips that one edit changes", changed, every, unit="zips", target=1.0, against=against),
        compared("P11", "code in a zip", packed, copied, unit="bytes", target=1.0, against=against),
    ]


def _code(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.py"))
