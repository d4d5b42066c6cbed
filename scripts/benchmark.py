"""How fast it is, next to what it is compared with, in one run.

    python -m scripts.benchmark                     everything, as a table of ratios with their targets
    python -m scripts.benchmark --only P8 P11       some
    python -m scripts.benchmark --json              for machines

The rounds of ours and of the comparison alternate, and a ratio is the median of the ratios within each round: what else
the machine does falls on both. Absolute times mean nothing on a shared machine. X (commands executed, which Upstash
bills) and RT (round trips) are counted by the server and are the same in every run. Environments are made once, from
the lock and from the peers' own ones (``scripts/benchmarks/sides/*.txt``), and kept in ``.local/benchmark``; the local
cloud runs for as long as this does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from common.errors import RaptorFlowError
from scripts.benchmarks import (
    p1_rate_limit,
    p2_queue,
    p3_locks,
    p4_cache,
    p5_sessions,
    p6_client,
    p7_warm,
    p8_cold_start,
    p9_acknowledgement,
    p11_packaging,
)
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.report import Row, table

if TYPE_CHECKING:
    from collections.abc import Callable

MEASUREMENTS: dict[str, Callable[[Bench], list[Row]]] = {
    "P1": p1_rate_limit.measure,
    "P2": p2_queue.measure,
    "P3": p3_locks.measure,
    "P4": p4_cache.measure,
    "P5": p5_sessions.measure,
    "P6": p6_client.measure,
    "P7": p7_warm.measure,
    "P8": p8_cold_start.measure,
    "P9": p9_acknowledgement.measure,
    "P11": p11_packaging.measure,
}
PIPED_WIDTH = 140
"""Columns of the table where no terminal says how many there are; 80 would cut the names off."""


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 when everything could be measured, whatever the figures are."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark", description="Measure ours and its comparisons, side by side."
    )
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), help="these (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="of each (default: 7)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--folder", type=Path, default=Path(".local/benchmark"), help="default: .local/benchmark")
    options = parser.parse_args(arguments)
    progress = Console(stderr=True)
    rows: list[Row] = []
    name = ""
    with progress.status("measuring") as status:

        def say(text: str) -> None:
            status.update(text)
            if not progress.is_terminal:
                progress.print(text)

        bench = Bench(options.folder.absolute(), max(1, options.rounds), say)
        try:
            for name in options.only or MEASUREMENTS:
                say(f"{name}: measuring")
                rows += MEASUREMENTS[name](bench)
        except (OSError, RuntimeError, RaptorFlowError, subprocess.CalledProcessError) as error:
            print(f"{name} cannot be measured: {error}", file=sys.stderr)
            return 1
        finally:
            bench.close()
    if options.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
