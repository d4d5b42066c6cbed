from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from common import ids
from tests.tools.local.receiver import Receiver, running_receiver
from tools.local.tasks.server import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOCATION = "projects/p/locations/asia-south1"


@dataclass
class Tasks:
    """The real client library, and one queue that sends to a receiver."""

    client: CloudTasksAsyncClient
    receiver: Receiver
    queue: str = field(default_factory=lambda: f"{LOCATION}/queues/q-{ids.new_id()}")

    async def make_queue(self, *, attempts: int = 3, backoff: float = 0.05, **options: Any) -> types.Queue:
        retry = types.RetryConfig(
            max_attempts=attempts,
            min_backoff=timedelta(seconds=backoff),
            max_backoff=timedelta(seconds=1),
            max_doublings=4,
            max_retry_duration=options.pop("max_retry_duration", None),
        )
        queue = types.Queue(name=self.queue, retry_config=retry, **options)
        return await self.client.create_queue(parent=LOCATION, queue=queue, retry=None, timeout=5)

    async def add(self, path: str = "/", *, task_id: str = "", **options: Any) -> types.Task:
        request = {"url": self.receiver.url(path), "body": b"{}", **options.pop("request", {})}
        task = types.Task(
            http_request=types.HttpRequest(**request),
            name=f"{self.queue}/tasks/{task_id}" if task_id else "",
            **options,
        )
        return await self.client.create_task(parent=self.queue, task=task, retry=None, timeout=5)

    async def names(self) -> list[str]:
        pager = await self.client.list_tasks(parent=self.queue, retry=None, timeout=5)
        return [task.name.rpartition("/")[2] async for task in pager]


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    server = await start(0, sign=lambda email, audience: f"token of {email} for {audience}")
    async with running_receiver() as receiver, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Tasks(CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel)), receiver)
    await server.stop()
