"""P2: the whole life of a job, against a bare stream with acknowledgement and against ``arq``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.report import Row, counted, faster
from scripts.benchmarks.side import Cost, comparison

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench
    from scripts.benchmarks.side import Comparison

TASKS, JOBS = 16, 800
IDLE_SECONDS = 5
STREAM, ARQ = "stream XADD/XREADGROUP/XACK, redis-py", "arq, polling each 5 ms"
LIVES = {
    # by one call each, as the stream has it; by a worker, as arq has it
    "by calls": ("ours_queue", "enqueue", "work"),
    "stream": ("stream", "enqueue", "work"),
    "by a worker": ("ours_queue", "enqueue", "drain"),
    "arq": ("arq_queue", "enqueue", "work"),
}


def measure(bench: Bench) -> list[Row]:
    """Jobs enqueued and then worked, 16 at a time, and what one costs when they come one after another."""
    with comparison(bench, {"ours_queue": "", "stream": "", "arq_queue": "arq"}) as sides:
        taken = _alternate(sides, bench.rounds)
        cost = {life: _cost(sides, *parts) for life, parts in LIVES.items()}
        ten = _cost(sides, "ours_queue", "enqueue ten", "work ten")
        idle = {name: _idle(sides, name) for name in ("ours_queue", "arq_queue")}
    by_calls, worker, arq = taken["by calls"], taken["by a worker"], taken["arq"]
    calls, stream = cost["by calls"], cost["stream"]
    return [
        faster("P2", "job, by calls", by_calls, taken["stream"], unit="µs", target=0.5, against=STREAM),
        faster("P2", "job, by a worker", worker, arq, unit="µs", target=2, against=ARQ),
        counted("P2", "job, by calls", calls.commands, stream.commands, "X", 11, STREAM),
        counted("P2", "job, by calls", calls.round_trips, stream.round_trips, "RT", 3, STREAM),
        counted("P2", "job, by a worker", cost["by a worker"].commands, cost["arq"].commands, "X", 11, ARQ),
        counted("P2", "job, ten at a time", ten.commands / 10, None, "X", 3),
        counted("P2", f"worker that waits {IDLE_SECONDS} s", idle["ours_queue"], idle["arq_queue"], "X", 0, "arq"),
    ]


def _alternate(sides: Comparison, rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {life: [] for life in LIVES}
    for number in range(rounds + 1):
        for life, (side, *operations) in LIVES.items():
            if side == "stream":
                sides[side].do("begin")
            answers = [sides[side].do(operation, tasks=TASKS, count=JOBS) for operation in operations]
            if number:
                taken[life].append(sum(answer.seconds for answer in answers) / JOBS * 1e6)
    return taken


def _cost(sides: Comparison, side: str, *operations: str) -> Cost:
    costs = [sides.cost(side, operation) for operation in operations]
    return Cost(sum(one.commands for one in costs), sum(one.round_trips for one in costs))


def _idle(sides: Comparison, side: str) -> float:
    sides[side].do("start")
    spent = sides.spent(lambda: sides[side].do("idle", count=IDLE_SECONDS))
    sides[side].do("stop")
    return spent.commands
