"""P9: acknowledging a webhook, against verify + one publish, and against what tutorials do."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import statistics
from contextlib import ExitStack
from typing import TYPE_CHECKING

from scripts.benchmarks import load, peers
from scripts.benchmarks.report import Row, compared, faster
from scripts.benchmarks.server import serving

if TYPE_CHECKING:
    from scripts.benchmarks.bench import Bench

FUNCTION = "webhook-phonepe"
REQUESTS = 200


def measure(bench: Bench) -> list[Row]:
    """Milliseconds until the answer, one request at a time over one connection."""
    artifact = bench.artifacts()[FUNCTION]
    ours = bench.unpacked(artifact)
    environment = bench.installed((ours / "requirements.txt").read_text(encoding="utf-8"))
    sample = json.loads((bench.root / "functions/webhooks/phonepe/sample.json").read_bytes())
    variables = bench.cloud() | sample["environment"]
    asked = sample["request"]
    body = asked["body"].encode()
    signature = hmac.digest(b"sample-secret", body, hashlib.sha256).hex()
    headers = {**load.AS_THE_FRONT_END, **asked["headers"], "x-phonepe-checksum-signature": signature}
    request = load.request(asked["method"], asked["path"], headers, body)
    folders = {
        "ours": ours,
        "floor": bench.written("p9-floor", peers.PUBLISH_AIO),
        "usual": bench.written("p9-usual", peers.PUBLISH_SYNC),
    }
    taken: dict[str, list[float]] = {name: [] for name in folders}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(folder, environment, variables)) for name, folder in folders.items()
        }
        for server in servers.values():
            server.first(request)
        for number in range(bench.rounds + 1):
            for name, server in servers.items():
                each = asyncio.run(load.many(server.port, request, connections=1, count=REQUESTS, expected=200))
                if number:
                    taken[name].append(statistics.median(each))
    what = "acknowledgement, 1 connection"
    return [
        compared("P9", what, taken["ours"], taken["floor"], unit="ms p50", target=1.25, against="verify + one publish"),
        faster("P9", what, taken["ours"], taken["usual"], unit="ms p50", target=10, against="sync, PublisherClient"),
    ]
