"""Enqueueing, with Google's own client library, to a real server or to none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInput, Unavailable
from common.functions import context
from common.infrastructure.cloud_tasks import cloud_tasks_client, task_id
from common.infrastructure.errors import AlreadyExists, NotFound
from common.jobs import enqueue_job
from tests.tools.local.receiver import running_receiver

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
        name = await cloud_tasks_client().create_task("job-count", "job-count", {"a": "ü"}, key="a/1")
    (task,) = await queue.tasks()
    assert task.name == name == f"{queue.name}/tasks/{task_id('a/1')}"
    assert json.loads(task.http_request.body) == {"a": "ü"}
    assert task.http_request.headers["traceparent"] == running.traceparent
    assert task.http_request.headers["Content-Type"] == "application/json"


@given(st.text(), st.text())
def test_a_name_is_allowed_starts_with_a_hash_and_is_its_key_s_alone(key: str, other: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}-[A-Za-z0-9_-]{0,487}", task_id(key))
    assert (task_id(key) == task_id(other)) is (key == other)


def test_a_name_tells_apart_what_looks_alike() -> None:
    assert len({task_id(f"a/{scope}/0") for scope in ("x/y", "x-y", "x.y")}) == 3
    assert task_id("a/x/y/p/0")[12:] == "-a-x-y-p-0"


def test_names_in_sequence_do_not_sort_in_sequence() -> None:
    names = [task_id(f"job/{number:04}") for number in range(50)]
    assert names != sorted(names)
    assert len({name[0] for name in names}) > 8


async def test_the_queue_s_routing_overrides_the_handler_s_url(queue: Queue) -> None:
    async with running_receiver() as receiver:
        override = types.UriOverride(
            scheme=types.UriOverride.Scheme.HTTP,
            host="127.0.0.1",
            port=receiver.port,
            path_override={"path": "/job-count"},
            uri_override_enforce_mode=types.UriOverride.UriOverrideEnforceMode.ALWAYS,
        )
        routed = types.Queue(name=queue.name, http_target=types.HttpTarget(uri_override=override))
        mask = {"paths": ["http_target"]}
        await queue.client.update_queue(queue=routed, update_mask=mask, retry=None, timeout=5)
        await queue.client.resume_queue(name=queue.name, retry=None, timeout=5)
        for handler in ("job-count", "https://nowhere.invalid/elsewhere"):
            await cloud_tasks_client().create_task("job-count", handler, {"handler": handler})
        received = await receiver.requests(2, path="/job-count")
    assert {json.loads(one.body)["handler"] for one in received} == {"job-count", "https://nowhere.invalid/elsewhere"}


async def test_a_task_may_wait(queue: Queue) -> None:
    await cloud_tasks_client().create_task("job-count", "job-count", {}, 60)
    (task,) = await queue.tasks()
    assert 55 < task.schedule_time.timestamp() - time.time() < 65


async def test_the_same_id_again_is_refused_and_a_deleted_one_too(queue: Queue) -> None:
    name = await cloud_tasks_client().create_task("job-count", "job-count", {}, key="a/1")
    with pytest.raises(AlreadyExists):
        await cloud_tasks_client().create_task("job-count", "job-count", {}, key="a/1")
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
