"""P3: taking a lock and giving it back, against SET NX and a script that deletes what is one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, counted, faster
from scripts.benchmarks.side import comparison

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench

TASKS, PAIRS = 32, 3200
OURS, PEER = "ours_locks", "plain"
AGAINST = "SET NX + EVALSHA, redis-py"
KINDS = (
    # what, the operation, X on a server that compares and deletes in one command, as the local one does
    ("lock, acquire + release", "pair", 2),
    ("lock, with a fencing number", "fenced", 4),
    ("lock, fenced, renewed while held", "held", 4),
)


def measure(bench: Bench) -> list[Row]:
    """Pairs at once, on locks that nobody else wants, and what one costs."""
    rows = []
    with comparison(bench, {OURS: "", PEER: ""}) as sides:
        for what, operation, target in KINDS:
            taken = sides.alternate(bench.rounds, {OURS: operation, PEER: "pair"}, TASKS, PAIRS)
            ours, peer = sides.cost(OURS, operation), sides.cost(PEER, "pair")
            rows += [
                faster("P3", f"{what}, 32 tasks", taken[OURS], taken[PEER], unit="µs", target=0.95, against=AGAINST),
                counted("P3", what, ours.commands, peer.commands, "X", target, AGAINST),
                counted("P3", what, ours.round_trips, peer.round_trips, "RT", 2, AGAINST),
            ]
    return rows
