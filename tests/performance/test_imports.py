"""The deterministic part of the cold start: what each function loads before its first request, and what it must not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FUNCTIONS = json.loads((REPOSITORY / "functions.json").read_text())["functions"]
HEAVY = {
    "apscheduler",
    "google.api_core",
    "google.auth",
    "google.pubsub_v1",
    "grpc",
    "httpx",
    "opentelemetry",
    "psycopg",
    "pydantic",
    "redis",
    "requests",
}
CODE = """
import sys
import functions_framework.aio
before = set(sys.modules)
import importlib
importlib.import_module(sys.argv[1])
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_loads_only_its_own_modules_before_it_is_called(name: str) -> None:
    function = FUNCTIONS[name]
    module = function["source"].replace("/", ".") + ".main"
    done = subprocess.run(
        [sys.executable, "-c", CODE, module],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint(HEAVY)
    ours = {one for one in loaded if one.startswith(("common", "functions."))}
    packages = {"functions", module.rpartition(".")[0], module.rpartition(".")[0].rpartition(".")[0]}
    assert ours - packages <= set(function["modules"])
    assert len(loaded) <= 110
