"""P1: checks of a rate limit, against ``limits`` with its moving window, which is exact too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, counted, faster
from scripts.benchmarks.side import comparison

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench

TASKS, CHECKS = 32, 6400
OURS, PEER = "ours_rate", "limits_moving"
AGAINST = "limits' moving window, redis-py"


def measure(bench: Bench) -> list[Row]:
    """Checks at once, and what one costs: allowed, refused, refused again in the same process."""
    with comparison(bench, {OURS: "", PEER: "limits"}) as sides:
        taken = sides.alternate(bench.rounds, dict.fromkeys((OURS, PEER), "check"), TASKS, CHECKS)
        rows = [faster("P1", "check, 32 tasks", taken[OURS], taken[PEER], unit="µs", target=1.5, against=AGAINST)]
        for what, operation, target in (
            ("allowed", "check", 3),
            ("", "fill", None),
            ("refused", "refused", 2),
            ("refused again", "refused", 0),
        ):
            ours, peer = (sides.cost(name, operation) for name in (OURS, PEER))
            if target is not None:
                rows.append(counted("P1", f"check, {what}", ours.commands, peer.commands, "X", target, AGAINST))
            if what == "allowed":
                rows.append(counted("P1", "check", ours.round_trips, peer.round_trips, "RT", 1, AGAINST))
    return rows
