"""P5: what sessions cost beside Flask-Session, usage, and a new connection beside redis-py's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, counted
from scripts.benchmarks.side import comparison

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench

DEFAULTS = "redis-py's defaults"
FLASK = "Flask-Session, a request that reads"


def measure(bench: Bench) -> list[Row]:
    """Commands and round trips of one operation each."""
    here = dict.fromkeys(("ours_connection", "plain", "ours_sessions", "ours_usage"), "")
    modules = here | {"flask_session_view": "flask-session"}
    with comparison(bench, modules) as sides:
        ours, peer = sides.cost("ours_connection", "connect"), sides.cost("plain", "connect")
        for first in ("begin", "update"):  # the first update makes its script known
            sides["ours_sessions"].do(first, count=32)
        read, view = sides.cost("ours_sessions", "read"), sides.cost("flask_session_view", "read")
        update = sides.cost("ours_sessions", "update")
        sides["ours_usage"].do("record")  # the first of a month gives it an end
        record, total = sides.cost("ours_usage", "record"), sides.cost("ours_usage", "total")
    return [
        counted("P5", "session, read and kept alive", read.commands, view.commands, "X", 1, FLASK),
        counted("P5", "session, read and kept alive", read.round_trips, view.round_trips, "RT", 1, FLASK),
        counted("P5", "session, changed if it is as it was seen", update.commands, None, "X", 3),
        counted("P5", "session, changed if it is as it was seen", update.round_trips, None, "RT", 1),
        counted("P5", "usage, counted", record.commands, None, "X", 2),
        counted("P5", "usage, read with all breakdowns", total.commands, None, "X", 1),
        counted("P5", "new connection and its first PING", ours.round_trips, peer.round_trips, "RT", 1, DEFAULTS),
        counted("P5", "new connection and its first PING", ours.commands, peer.commands, "X", 2, DEFAULTS),
    ]
