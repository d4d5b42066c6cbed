"""Enqueueing to Cloud Tasks (R33): the generated asynchronous client, imported at the first task.

A queue knows where its tasks go and as whom (queue-level routing), so nobody who enqueues needs to know a URL or act as
another service account.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from common import clock
from common.errors import InvalidInput
from common.functions import context
from common.infrastructure.calls import TRANSIENT, call
from common.infrastructure.endpoints import open_client
from common.infrastructure.errors import NotFound
from common.infrastructure.gcp import GCPClient
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.cloud.tasks_v2 import CloudTasksAsyncClient

CALL_SECONDS = 3.0
"""For everything that one call may take, retries included."""
MAX_BODY_BYTES = 900_000
"""A task has at most 1 MB, its headers and names included."""
MAX_DELAY_SECONDS = 30 * 86_400
MAX_ID = 500
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_HASH_CHARACTERS = 12


class CloudTasksClient:
    """Creates and deletes tasks; one per process and event loop, see `cloud_tasks_client`."""

    def __init__(self) -> None:
        gcp = GCPClient()
        self._location = f"projects/{gcp.get_project_id()}/locations/{gcp.get_region()}"
        self._client: CloudTasksAsyncClient | None = None

    async def create_task(
        self,
        queue: str,
        handler_url: str,
        payload: Mapping[str, Any],
        delay_seconds: float = 0,
        *,
        key: str | None = None,
    ) -> str:
        """Enqueue one task; its full name.

        The running invocation's trace travels along in ``traceparent``.

        Args:
            queue: its short name; it is called like the function that it calls.
            handler_url: names the function; the queue's own routing decides where the request goes.
            payload: the body, as JSON.
            delay_seconds: before it is dispatched, at most 30 days.
            key: what the task is known by, any text, see `task_id`; the same again is refused while the task is there
                and for up to a day after. None for a name that Cloud Tasks makes up: then nothing is tried again, since
                a second try could make a second task.

        Raises:
            AlreadyExists: there is, or lately was, a task of this key.
            InvalidInput: the task breaks a limit of the service.
            NotFound: there is no such queue.
            PermissionDenied: our service account may not enqueue there.
            Unavailable: it could not be enqueued in time.
        """
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        if len(body) > MAX_BODY_BYTES:
            raise InvalidInput(f"a task's payload may have at most {MAX_BODY_BYTES} bytes")
        if not 0 <= delay_seconds <= MAX_DELAY_SECONDS:
            raise InvalidInput("a task may be delayed by at most 30 days")
        from google.cloud.tasks_v2 import HttpMethod, HttpRequest, Task  # noqa: PLC0415 - after the cold start

        parent = f"{self._location}/queues/{queue}"
        running = context.current()
        headers = {"Content-Type": "application/json"} | ({"traceparent": running.traceparent} if running else {})
        url = handler_url if "://" in handler_url else f"https://{handler_url}.invalid/"
        task = Task(
            http_request=HttpRequest(url=url, http_method=HttpMethod(HttpMethod.POST), headers=headers, body=body),
            name=f"{parent}/tasks/{task_id(key)}" if key else "",
        )
        if delay_seconds:
            task.schedule_time = clock.now() + timedelta(seconds=delay_seconds)
        client = self._tasks()
        answer = await call(
            f"enqueueing to {queue}",
            client.create_task,
            seconds=CALL_SECONDS,
            transient=TRANSIENT if key else frozenset(),  # of a known name, what was created unnoticed is refused
            parent=parent,
            task=task,
        )
        name: str = answer.name
        return name

    async def delete_task(self, task_name: str) -> None:
        """Delete a task by its full name; one that is gone already is as good.

        Raises:
            PermissionDenied, Unavailable: as `create_task`.
        """
        try:
            await call("deleting a task", self._tasks().delete_task, seconds=CALL_SECONDS, name=task_name)
        except NotFound:
            return

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.transport.close()  # type: ignore[no-untyped-call] # the library's

    def _tasks(self) -> CloudTasksAsyncClient:
        if self._client is None:
            from google.cloud.tasks_v2 import CloudTasksAsyncClient  # noqa: PLC0415
            from google.cloud.tasks_v2.services.cloud_tasks.transports import (  # noqa: PLC0415
                CloudTasksGrpcAsyncIOTransport,
            )

            self._client = open_client(
                CloudTasksAsyncClient, CloudTasksGrpcAsyncIOTransport, "CLOUD_TASKS_EMULATOR_HOST"
            )
        return self._client


@per_loop
def cloud_tasks_client() -> CloudTasksClient:
    """The client of this process and event loop."""
    return CloudTasksClient()


def task_id(key: str) -> str:
    """``{hash}-{key}``, in the characters and the length that Cloud Tasks allows.

    The hash comes first because names in sequence slow a queue down, and it tells apart what looks alike after unsafe
    characters are replaced and the end is cut off.
    Source: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#createtaskrequest

    Example:
        >>> task_id("generate_invoice/p-1/2026-11/0")
        'd33c0017ebb2-generate_invoice-p-1-2026-11-0'
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{digest}-{_UNSAFE.sub('-', key)}"[:MAX_ID]
