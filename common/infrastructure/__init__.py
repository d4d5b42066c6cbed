"""Façades over Google's client libraries; importing this package loads none of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.infrastructure.bigquery import BigQueryClient
    from common.infrastructure.cloud_tasks import CloudTasksClient
    from common.infrastructure.gcp import GCPClient
    from common.infrastructure.pubsub_client import PubSubClient
    from common.infrastructure.storage import CloudStorage

_MODULES = {
    "BigQueryClient": "bigquery",
    "CloudTasksClient": "cloud_tasks",
    "GCPClient": "gcp",
    "PubSubClient": "pubsub_client",
    "CloudStorage": "storage",
}

__all__ = ["BigQueryClient", "CloudStorage", "CloudTasksClient", "GCPClient", "PubSubClient"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
