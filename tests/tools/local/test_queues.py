"""The local task queues are what the manifest says, however often they are wired, and whatever was there before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from tools.local.queues import wire_queues
from tools.local.wiring import Wiring
from tools.manifest_model import RateClass, load

if TYPE_CHECKING:
    from tests.stack import Stack

MANIFEST = load(Path(__file__).parents[3] / "functions.json")
NAME = "job-generate-invoice"


@pytest.fixture
def wiring(stack: Stack) -> Wiring:
    return Wiring.of(stack.environment, "http://127.0.0.1:8080")


async def queues(wiring: Wiring) -> dict[str, types.Queue]:
    async with grpc.aio.insecure_channel(wiring.tasks_host) as channel:
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        parent = f"projects/{wiring.project}/locations/asia-south1"
        listed = await client.list_queues(parent=parent, retry=None, timeout=5)
        return {queue.name.rpartition("/")[2]: queue async for queue in listed}


async def test_each_function_that_takes_tasks_has_a_queue_that_leads_to_it(wiring: Wiring) -> None:
    await wire_queues(MANIFEST, wiring)
    wired = await wire_queues(MANIFEST, wiring)  # a gateway that reloads wires again
    assert NAME in wired
    found = await queues(wiring)
    assert sorted(found) == wired
    queue = found[NAME]
    assert queue.retry_config.max_attempts == 31
    assert queue.http_target.uri_override.path_override.path == f"/{NAME}"
    assert queue.http_target.uri_override.port == 8080
    assert queue.http_target.oidc_token.audience == f"http://127.0.0.1:8080/{NAME}"


async def test_an_edited_queue_is_brought_up_to_date(wiring: Wiring) -> None:
    await wire_queues(MANIFEST, wiring)
    slower = {name: replace(rate, rate=3.0, concurrent=2) for name, rate in MANIFEST.rate_classes.items()}
    assert all(isinstance(rate, RateClass) for rate in slower.values())
    await wire_queues(replace(MANIFEST, rate_classes=slower), replace(wiring, maximum_backoff=timedelta(seconds=7)))
    queue = (await queues(wiring))[NAME]
    assert (queue.rate_limits.max_dispatches_per_second, queue.rate_limits.max_concurrent_dispatches) == (3.0, 2)
    assert queue.retry_config.max_backoff == timedelta(seconds=7)


async def test_the_queue_of_a_function_that_is_gone_is_deleted(wiring: Wiring) -> None:
    await wire_queues(MANIFEST, wiring)
    others = {name: function for name, function in MANIFEST.functions.items() if name != NAME}
    assert NAME not in await wire_queues(replace(MANIFEST, functions=others), wiring)
    assert NAME not in await queues(wiring)
