"""P4: a cache's hits, against a plain GET and other caches; a cold key that many processes want at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, counted, faster
from scripts.benchmarks.side import comparison

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench
    from scripts.benchmarks.side import Comparison

TASKS, HITS = 32, 6400
PROCESSES, CALLERS = 4, 25
OURS, PLAIN = "ours_cache", "plain"
GET = "GET + json, redis-py"
PEERS = {"aiocache_cache": ("aiocache", "cached_stampede"), "cashews_cache": ("cashews", "lock=True")}


def measure(bench: Bench) -> list[Row]:
    """Hits at once on keys of their own, what an operation costs, and how often a cold key's value is made."""
    modules = {PLAIN: "", OURS: ""} | dict.fromkeys(PEERS, "caches")
    more = {f"{name}@{number}": modules[name] for name in (OURS, *PEERS) for number in range(2, PROCESSES + 1)}
    with comparison(bench, modules | more) as sides:
        for name in modules:
            sides[name].do("store", count=TASKS)
        taken = sides.alternate(bench.rounds, dict.fromkeys(modules, "hit"), TASKS, HITS)
        rows = [
            faster("P4", "cache hit, 32 tasks", taken[OURS], taken[name], unit="µs", target=0.95, against=against)
            for name, (against, _) in ({PLAIN: (GET, "")} | PEERS).items()
        ]
        hit = sides.cost(OURS, "hit")
        rows += [
            counted("P4", "cache hit", hit.commands, sides.cost(PLAIN, "hit").commands, "X", 1, GET),
            counted("P4", "cache hit", hit.round_trips, None, "RT", 1),
            counted("P4", "clear_workspace", sides.cost(OURS, "clear").commands, None, "X", 1),
        ]
        made = _made(sides, OURS)
        for name, peer in PEERS.items():
            theirs, against = _made(sides, name), ", ".join(peer)
            rows.append(counted("P4", "cold key, 100 callers in 4 processes", made, theirs, "runs", 1, against))
    return rows


def _made(sides: Comparison, name: str) -> int:
    processes = [sides[name], *(sides[f"{name}@{number}"] for number in range(2, PROCESSES + 1))]
    for process in processes:
        process.ask("cold", CALLERS, 1)
    return sum(process.answer().result for process in processes)
