"""P7: a warm function with one Redis trip, against the bare framework doing the same trip."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from scripts.benchmarks import load, peers
from scripts.benchmarks.report import Row, compared
from scripts.benchmarks.server import serving

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench

CONNECTIONS, REQUESTS = 32, 3200
REQUEST = load.request("POST", "/", {**load.AS_THE_FRONT_END, "content-type": "application/json"}, b"{}")


def measure(bench: Bench) -> list[Row]:
    """CPU for each request of the server's processes, logging and everything else of the decorator included."""
    environment = bench.environment_of(["runtime", "redis"])
    ours = bench.written("p7-ours", peers.REDIS_OURS)
    shutil.copytree(bench.root / "common", ours / "common", dirs_exist_ok=True)
    variables = bench.cloud()
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}
    with ExitStack() as stack:
        servers = {
            "ours": stack.enter_context(serving(ours, environment, variables)),
            "bare": stack.enter_context(serving(bench.written("p7-bare", peers.REDIS_AIO), environment, variables)),
        }
        for server in servers.values():
            server.first(REQUEST)
        for number in range(bench.rounds + 1):
            for name, server in servers.items():
                before = server.cpu()
                asyncio.run(load.many(server.port, REQUEST, connections=CONNECTIONS, count=REQUESTS, expected=200))
                if number:
                    cpu[name].append((server.cpu() - before) / REQUESTS)
    against = "functions_framework.aio + uvloop, same trip"
    return [
        compared("P7", "warm, one Redis trip", cpu["ours"], cpu["bare"], unit="µs CPU", target=1.25, against=against)
    ]
