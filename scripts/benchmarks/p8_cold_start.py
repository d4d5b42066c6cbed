"""P8: from the start of the process to its first answer, against the bare framework's hello."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scripts.benchmarks import load, peers
from scripts.benchmarks.report import Row, absolute, compared
from scripts.benchmarks.server import serving

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.benchmarks.bench import Bench

GET = load.request("GET", "/", load.AS_THE_FRONT_END, b"")
KINDS = ("webhook", "event")
CLIENTS = {"pubsub": 2.16 - 1.0, "postgres": 1.56 - 1.0, "redis": 1.44 - 1.0, "http": 1.11 - 1.0}
"""What importing each client adds to a bare hello; measured once, each in an environment of its own."""
MARGIN = 0.15
_Subject = tuple["Path", "Path", dict[str, str], bytes]


def measure(bench: Bench) -> list[Row]:
    """Before any publish or query (the answer to a wrong method), and with them (the answer to ``sample.json``).

    The CPU until the first answer is what a cold start costs on a small instance, and what a busy machine blurs least.
    """
    subjects = _subjects(bench)
    functions = {name: value for name, value in bench.functions().items() if name.partition("-")[0] in KINDS}
    wall: dict[str, list[float]] = {name: [] for name in subjects}
    cpu: dict[str, list[float]] = {name: [] for name in subjects}
    memory: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(bench.rounds + 1):
        bench.say(f"P8: round {number} of {bench.rounds}, {len(subjects)} cold starts")
        for name, (folder, environment, variables, request) in subjects.items():
            with serving(folder, environment, variables) as server:
                taken, worked, used = server.first(request), server.cpu() / 1000, server.memory()
            if number:
                wall[name].append(taken)
                cpu[name].append(worked)
                memory[name].append(used)
    hello, against = wall["hello"], "bare hello"
    aio = compared("P8", "hello aio", wall["aio"], hello, unit="ms", target=9.99, against=against)
    rows = []
    for name, function in functions.items():
        first, sample = f"{name} first", f"{name} sample"
        allowed = aio.ratio + sum(CLIENTS.get(client, 0.0) for client in function["clients"]) + MARGIN
        rows += [
            compared("P8", f"{name}, first answer", wall[first], hello, unit="ms", target=1.6, against=against),
            compared(
                "P8", f"{name}, first answer", cpu[first], cpu["hello"], unit="ms CPU", target=1.6, against=against
            ),
            compared("P8", f"{name}, its sample", wall[sample], hello, unit="ms", target=allowed, against=against),
            absolute("P8", f"{name}, memory", max(memory[sample]), "MiB", 90),
        ]
    return rows


def _subjects(bench: Bench) -> dict[str, _Subject]:
    bare = bench.environment_of(["runtime"])
    subjects: dict[str, _Subject] = {
        "hello": (bench.written("p8-hello", peers.HELLO), bare, {}, GET),
        "aio": (bench.written("p8-aio", peers.HELLO_AIO), bare, {}, GET),
    }
    artifacts = bench.artifacts()
    for name, function in bench.functions().items():
        if name.partition("-")[0] not in KINDS:
            continue
        sample = json.loads((bench.root / function["source"] / "sample.json").read_bytes())
        folder = bench.unpacked(artifacts[name])
        environment = bench.installed((folder / "requirements.txt").read_text(encoding="utf-8"))
        variables = bench.cloud() | sample["environment"]
        asked = sample["request"]
        headers = {**load.AS_THE_FRONT_END, **asked["headers"]}
        known = load.request(asked["method"], asked["path"], headers, asked["body"].encode())
        subjects[f"{name} first"] = (folder, environment, variables, GET)
        subjects[f"{name} sample"] = (folder, environment, variables, known)
    return subjects
