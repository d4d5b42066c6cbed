"""What Terraform does when deployed: one task queue for every function that takes tasks, from the manifest."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from common.infrastructure.gcp import GCPClient

if TYPE_CHECKING:
    from tools.local.wiring import Wiring
    from tools.manifest_model import Function, Manifest

_FIELDS = ["rate_limits", "retry_config", "http_target"]


async def wire_queues(manifest: Manifest, wiring: Wiring) -> list[str]:
    """Make the local Cloud Tasks what the manifest says; the short names of the queues.

    Safe to repeat: what exists is brought up to date, and the queue of a function that is gone is deleted.
    """
    location = f"projects/{wiring.project}/locations/{GCPClient().get_region()}"
    tasks = {name: function for name, function in manifest.functions.items() if function.trigger.kind == "task"}
    wanted = {f"{location}/queues/{name}": (name, function) for name, function in tasks.items()}
    async with grpc.aio.insecure_channel(wiring.tasks_host) as channel:
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        async for existing in await client.list_queues(parent=location, retry=None, timeout=10):
            if existing.name not in wanted:
                await client.delete_queue(name=existing.name, retry=None, timeout=10)
        await asyncio.gather(
            *(
                client.update_queue(
                    queue=_queue(full, name, function, manifest, wiring),
                    update_mask={"paths": _FIELDS},
                    retry=None,
                    timeout=10,
                )
                for full, (name, function) in wanted.items()
            )
        )
    return sorted(tasks)


def _queue(full: str, name: str, function: Function, manifest: Manifest, wiring: Wiring) -> types.Queue:
    gateway = urlsplit(wiring.base_url)
    rate = manifest.rate_classes[function.trigger.rate_class or "default"]
    return types.Queue(
        name=full,
        rate_limits=types.RateLimits(max_dispatches_per_second=rate.rate, max_concurrent_dispatches=rate.concurrent),
        retry_config=types.RetryConfig(
            max_attempts=(function.trigger.retries or 0) + 1,
            min_backoff=wiring.minimum_backoff,
            max_backoff=wiring.maximum_backoff,
            max_doublings=16,
            max_retry_duration=timedelta(0),
        ),
        http_target=types.HttpTarget(
            uri_override=types.UriOverride(
                scheme=types.UriOverride.Scheme.HTTPS if gateway.scheme == "https" else types.UriOverride.Scheme.HTTP,
                host=gateway.hostname,
                port=gateway.port,
                path_override={"path": f"/{name}"},
                uri_override_enforce_mode=types.UriOverride.UriOverrideEnforceMode.ALWAYS,
            ),
            oidc_token=types.OidcToken(service_account_email=wiring.invoker, audience=f"{wiring.base_url}/{name}"),
        ),
    )
