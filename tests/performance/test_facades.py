"""What each façade over a library of Google loads: nothing at import, and its own library alone at the first call.

A façade that drags in another's library makes every function that uses it start later.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.stack import Stack

REPOSITORY = Path(__file__).parents[2]
MODULES = sorted(
    f"common.infrastructure.{path.stem}"
    for path in (REPOSITORY / "common/infrastructure").glob("*.py")
    if path.stem != "__init__"
)
EAGER = {
    # Each is imported by its façade, at the first call that needs it.
    "common.infrastructure.alert_policies",
    "common.infrastructure.bigquery_tables",
    "common.infrastructure.pubsub_subscriber",
    "common.infrastructure.span_lines",
    "common.infrastructure.storage_signing",
    "common.infrastructure.storage_transfers",
}
"""Modules that load a library when they are imported."""
CALLS = {
    "storage": ("storage", "cloud_storage().delete_file('assets', 'a')"),
    "pubsub": ("pubsub_publisher", "pubsub_publisher().publish('payment-completed', b'{}')"),
    "tasks": ("cloud_tasks", "cloud_tasks_client().delete_task('projects/p/locations/l/queues/q/tasks/t')"),
    "bigquery": ("bigquery", "bigquery_client().execute_query('select 1 as one', {})"),
    "secrets": ("secrets", "secrets_manager().set_secret('of-a-test', 'v')"),
    "monitoring": ("monitoring", "cloud_monitoring().record_metric('raptorflow_mails_total', 1, {'kind': 'invoice'})"),
    "errors": ("errors", "ErrorReporting().report_error(ValueError('x'))"),
}
"""Façade to its module and its first call."""
GRPC = "google.api_core.grpc_helpers_async"
"""What a client over gRPC loads; ``grpc`` itself is loaded by ``google.api_core`` wherever it is installed."""
LOADED = {
    "storage": {"google.cloud.storage"},
    "pubsub": {"google.pubsub_v1", GRPC},
    "tasks": {"google.cloud.tasks_v2", GRPC},
    "bigquery": {"google.cloud.bigquery"},
    "secrets": {"google.cloud.secretmanager_v1", GRPC},
    "monitoring": set[str](),
    "errors": set[str](),
}
"""Of `LIBRARIES`, after the first call."""
LIBRARIES = {
    "google.cloud.bigquery",
    "google.cloud.error_reporting",
    "google.cloud.logging",
    "google.cloud.monitoring_v3",
    "google.cloud.secretmanager_v1",
    "google.cloud.storage",
    "google.cloud.tasks_v2",
    "google.cloud.trace_v2",
    "google.pubsub_v1",
    GRPC,
}
IMPORT = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
print(json.dumps(sorted(name for name in loaded if not name.startswith("_sysconfigdata"))))
"""
NAMES = """
import json, sys
before = set(sys.modules)
import common.infrastructure as package
for name in package.__all__:
    getattr(package, name)
heavy = ("google", "grpc", "requests", "opentelemetry")
print(json.dumps(sorted(name for name in set(sys.modules) - before if name.startswith(heavy))))
"""
CALL = """
import asyncio, json, sys
from common.infrastructure.{module} import {name}
async def call():
    await {call}
asyncio.run(call())
print("loaded:" + json.dumps(sorted(sys.modules)))
"""


def run(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_or_any_facade_loads_nothing_of_others() -> None:
    lazy = [name for name in MODULES if name not in EAGER]
    assert json.loads(run("-c", IMPORT, "common.infrastructure", *lazy)) == ["common"]


def test_the_exceptions_are_really_that() -> None:
    assert set(MODULES) >= EAGER
    for name in sorted(EAGER):
        assert json.loads(run("-c", IMPORT, name)) != ["common"], f"{name} loads nothing: take it out of EAGER"


def test_the_package_s_names_are_found_without_a_library() -> None:
    assert json.loads(run("-c", NAMES)) == []


@pytest.mark.parametrize("facade", sorted(CALLS))
async def test_a_first_call_loads_its_own_library_alone(facade: str, stack: Stack) -> None:
    await stack.make_buckets()
    module, call = CALLS[facade]
    output = run("-c", CALL.format(module=module, name=call.partition("(")[0], call=call))
    loaded = set(json.loads(output.rpartition("loaded:")[2]))
    assert loaded & LIBRARIES == LOADED[facade]
