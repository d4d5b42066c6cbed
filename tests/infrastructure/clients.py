"""One call of each client of Google's services, for what is true of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.infrastructure.bigquery import bigquery_client
from common.infrastructure.cloud_tasks import cloud_tasks_client
from common.infrastructure.monitoring import Condition, cloud_monitoring
from common.infrastructure.pubsub_client import pubsub_client
from common.infrastructure.secrets import secrets_manager
from common.infrastructure.storage import cloud_storage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALLS: dict[str, Callable[[], Awaitable[Any]]] = {
    "publish": lambda: pubsub_client().publish("payment-completed", b"{}"),
    "pull": lambda: pubsub_client().subscribe("worker", lambda _message: never()),
    "tasks": lambda: cloud_tasks_client().create_task("job-count", "job-count", {}, key="a/1"),
    "secrets": lambda: secrets_manager().get_secret("token-of-a-test"),
    "monitoring": lambda: cloud_monitoring().create_alert_policy("slow", [Condition("raptorflow_request_seconds", 1)]),
    "storage": lambda: cloud_storage().download_file("assets", "a"),
    "bigquery": lambda: bigquery_client().execute_query("select 1"),
}


async def never() -> None:
    raise AssertionError


EMULATORS = {
    "publish": "PUBSUB_EMULATOR_HOST",
    "tasks": "CLOUD_TASKS_EMULATOR_HOST",
    "secrets": "SECRET_MANAGER_EMULATOR_HOST",
    "monitoring": "CLOUD_MONITORING_EMULATOR_HOST",
    "storage": "STORAGE_EMULATOR_HOST",
    "bigquery": "BIGQUERY_EMULATOR_HOST",
}
"""By whose call, what names its service; pulling has no deadline, and is not among them."""
