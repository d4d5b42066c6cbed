"""Dispatching: one loop for each queue, which sends what is due as fast as the queue allows.

An answer of 200 to 299 ends a task; anything else, and no answer within the dispatch deadline, is a failed attempt.
After the last one the task is gone without a word, as in the service.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
from google.cloud.tasks_v2 import types

from tools.local.tasks.rules import backoff, target_of
from tools.local.tasks.state import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.local.tasks.state import Queue

log = logging.getLogger(__name__)


class Dispatcher:
    """Keeps one loop for each open queue; close it with `aclose`.

    Args:
        sign: makes the bearer token for a service account's e-mail address and an audience.
    """

    def __init__(self, sign: Callable[[str, str], str]) -> None:
        self._sign = sign
        self._loops: dict[int, asyncio.Task[None]] = {}
        self._extra: set[asyncio.Task[None]] = set()
        # what is on this machine is not reached through a proxy
        self._client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=None))

    def open(self, queue: Queue) -> None:
        """Begin to dispatch."""
        self._loops[id(queue)] = asyncio.create_task(self._run(queue), name=f"dispatch of {queue.config.name}")

    def close(self, queue: Queue) -> None:
        """Stop; what is under way is cut off."""
        self._loops.pop(id(queue)).cancel()

    def run_now(self, queue: Queue, task: Task) -> None:
        """Dispatch a task at once, whatever its schedule and the queue's state."""
        if not task.running:
            task.running, queue.running = True, queue.running + 1
            extra = asyncio.create_task(self._attempt(queue, task))
            self._extra.add(extra)
            extra.add_done_callback(self._extra.discard)

    async def aclose(self) -> None:
        """Stop everything."""
        tasks = [*self._loops.values(), *self._extra]
        self._loops.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _run(self, queue: Queue) -> None:
        async with asyncio.TaskGroup() as attempts:
            while True:
                queue.changed.clear()
                found = queue.take()
                if isinstance(found, Task):
                    found.running, queue.running = True, queue.running + 1
                    attempts.create_task(self._attempt(queue, found))
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(found):
                        await queue.changed.wait()

    async def _attempt(self, queue: Queue, task: Task) -> None:
        began = datetime.now(UTC)  # noqa: TID251 - a server's own time
        task.first = task.first or time.monotonic()
        try:
            status, reason = await self._send(queue, task), ""
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, in the signer or the URL too, is a failed attempt
            status, reason = 0, repr(error)
        task.running, queue.running = False, queue.running - 1
        task.attempts, task.executions = task.attempts + 1, task.executions + bool(status)
        task.last_status = status
        config = task.config
        config.dispatch_count, config.response_count = task.attempts, task.executions
        config.last_attempt = types.Attempt(schedule_time=config.schedule_time, dispatch_time=began)
        name = config.name
        if 200 <= status < 300 or name not in queue.tasks:
            queue.remove(name)
            return
        log.info("attempt %d of %s failed: %s", task.attempts, name.rpartition("/")[2], status or reason)
        if _exhausted(queue.config.retry_config, task):
            queue.remove(name)
            return
        wait = backoff(queue.config.retry_config, task.attempts)
        config.schedule_time = datetime.now(UTC) + wait  # noqa: TID251 - a server's own time
        queue.changed.set()

    async def _send(self, queue: Queue, task: Task) -> int:
        method, url = target_of(task.config, queue.config)
        headers = self._headers(queue, task, url)
        seconds = task.config.dispatch_deadline / timedelta(seconds=1)
        async with asyncio.timeout(seconds):
            response = await self._client.request(
                method, url, content=task.config.http_request.body, headers=headers, timeout=seconds
            )
        return response.status_code

    def _headers(self, queue: Queue, task: Task, url: str) -> dict[str, str]:
        request, target = task.config.http_request, queue.config.http_target
        headers = {"User-Agent": "Google-Cloud-Tasks", **dict(request.headers)}
        headers |= {item.header.key: item.header.value for item in target.header_overrides}
        token = target.oidc_token if "oidc_token" in target else request.oidc_token
        if token.service_account_email:
            headers["Authorization"] = f"Bearer {self._sign(token.service_account_email, token.audience or url)}"
        headers |= {
            "X-CloudTasks-QueueName": queue.config.name.rpartition("/")[2],
            "X-CloudTasks-TaskName": task.config.name.rpartition("/")[2],
            "X-CloudTasks-TaskRetryCount": str(task.attempts),
            "X-CloudTasks-TaskExecutionCount": str(task.executions),
            "X-CloudTasks-TaskETA": f"{task.config.schedule_time.timestamp():.6f}",
        }
        if task.attempts:
            headers["X-CloudTasks-TaskPreviousResponse"] = str(task.last_status)
            headers["X-CloudTasks-TaskRetryReason"] = "HTTP status code" if task.last_status else "Unreachable"
        return headers


def _exhausted(retry: types.RetryConfig, task: Task) -> bool:
    """Both limits must be reached, where both are set."""
    over = retry.max_attempts != -1 and task.attempts >= retry.max_attempts
    if not retry.max_retry_duration:
        return over
    late = task.first is not None and time.monotonic() - task.first >= retry.max_retry_duration / timedelta(seconds=1)
    return late and (over or retry.max_attempts == -1)
