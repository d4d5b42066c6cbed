"""Enqueueing, with Google's own client library, to a real server or to none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from common.errors import InvalidInput, Unavailable
from common.functions import context
from common.infrastructure.cloud_tasks import cloud_tasks_client
from common.infrastructure.errors import AlreadyExists, NotFound
from common.jobs import enqueue_job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack


class Queue:
    """A paused queue, to look into."""

    def __init__(self, stack: Stack, client: CloudTasksAsyncClient, name: str) -> None:
        self.location = f"projects/{stack.environment['GOOGLE_CLOUD_PROJECT']}/locations/asia-south1"
        self.client, self.short, self.name = client, name, f"{self.location}/queues/{name}"

    async def tasks(self) -> list[types.Task]:
        request = {"parent": self.name, "response_view": types.Task.View.FULL}
        return [task async for task in await self.client.list_tasks(request=request, retry=None, timeout=5)]


@pytest.fixture
async def queue(stack: Stack) -> AsyncIterator[Queue]:
    async with grpc.aio.insecure_channel(stack.environment["CLOUD_TASKS_EMULATOR_HOST"]) as channel:
        client = CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        made = Queue(stack, client, "job-count")
        await client.create_queue(parent=made.location, queue=types.Queue(name=made.name), retry=None, timeout=5)
        await client.pause_queue(name=made.name, retry=None, timeout=5)
        yield made
        await client.delete_queue(name=made.name, retry=None, timeout=5)


async def test_a_task_has_a_name_a_body_and_the_trace(queue: Queue) -> None:
    running = context.RequestContext.from_headers({}, function="f")
    with context.bind(running):
        name = await cloud_tasks_client().create_task("job-count", "job-count", {"a": "ü"}, task_id="t1")
    (task,) = await queue.tasks()
    assert task.name == name == f"{queue.name}/tasks/t1"
    assert json.loads(task.http_request.body) == {"a": "ü"}
    assert task.http_request.headers["traceparent"] == running.traceparent
    assert task.http_request.headers["Content-Type"] == "application/json"


async def test_a_task_may_wait(queue: Queue) -> None:
    await cloud_tasks_client().create_task("job-count", "job-count", {}, 60)
    (task,) = await queue.tasks()
    assert 55 < task.schedule_time.timestamp() - time.time() < 65


async def test_the_same_id_again_is_refused_and_a_deleted_one_too(queue: Queue) -> None:
    name = await cloud_tasks_client().create_task("job-count", "job-count", {}, task_id="t1")
    with pytest.raises(AlreadyExists):
        await cloud_tasks_client().create_task("job-count", "job-count", {}, task_id="t1")
    for _ in range(2):  # what is gone is as good as deleted
        await cloud_tasks_client().delete_task(name)
    assert await queue.tasks() == []


async def test_a_job_is_enqueued_once(queue: Queue) -> None:
    for _ in range(2):
        await enqueue_job("count", scope="p/1", period="2026-11", arguments={"workspace_id": "w1"})
    await enqueue_job("count", scope="p/1", period="2026-11", arguments={"workspace_id": "w1"}, attempt=1)
    first, second = sorted(await queue.tasks(), key=lambda task: task.name[-1])
    assert first.name.endswith("-count-p-1-2026-11-0")
    assert second.name.endswith("-count-p-1-2026-11-1")
    assert json.loads(first.http_request.body) == {
        "scope": "p/1",
        "period": "2026-11",
        "arguments": {"workspace_id": "w1"},
    }


async def test_an_unknown_queue_is_not_found(stack: Stack) -> None:
    with pytest.raises(NotFound, match="job-nowhere"):
        await cloud_tasks_client().create_task("job-nowhere", "job-nowhere", {})


async def test_a_dead_server_is_unavailable_within_its_time(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", "127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="enqueueing to job-count"):
        await cloud_tasks_client().create_task("job-count", "job-count", {})
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(("payload", "delay"), [({"a": "x" * 900_001}, 0), ({}, -1), ({}, 31 * 86_400)])
async def test_what_the_service_would_refuse_is_refused_before(
    stack: Stack, payload: dict[str, str], delay: float
) -> None:
    with pytest.raises(InvalidInput):
        await cloud_tasks_client().create_task("job-count", "job-count", payload, delay)


def test_importing_the_module_loads_nothing_of_google() -> None:
    code = (
        "import sys, common.infrastructure.cloud_tasks; "
        "sys.exit(any(name.startswith(('google.cloud.', 'google.api_core', 'grpc')) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
