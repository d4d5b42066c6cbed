"""P5: what a new connection costs, beside redis-py's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, counted
from scripts.benchmarks.side import comparison

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench

DEFAULTS = "redis-py's defaults"


def measure(bench: Bench) -> list[Row]:
    """Commands and round trips of one operation each."""
    with comparison(bench, {"ours_connection": "", "plain": ""}) as sides:
        ours, peer = sides.cost("ours_connection", "connect"), sides.cost("plain", "connect")
    return [
        counted("P5", "new connection and its first PING", ours.round_trips, peer.round_trips, "RT", 1, DEFAULTS),
        counted("P5", "new connection and its first PING", ours.commands, peer.commands, "X", 2, DEFAULTS),
    ]
