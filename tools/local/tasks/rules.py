"""What Cloud Tasks accepts, and what it fills in (from the docstrings of google-cloud-tasks and the quota page)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from google.cloud.tasks_v2 import types

from tools.local.rpc import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TASK_BYTES = 1024 * 1024
MAX_AHEAD = timedelta(days=30)
SHORTEST, LONGEST, USUAL = timedelta(seconds=15), timedelta(minutes=30), timedelta(minutes=10)
"""Of a dispatch deadline."""
_QUEUE = re.compile(r"projects/[^/]+/locations/[^/]+/queues/[A-Za-z0-9-]{1,100}")
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
_WITH_BODY = {types.HttpMethod.POST, types.HttpMethod.PUT, types.HttpMethod.PATCH}
_SCHEMES = {
    types.UriOverride.Scheme.SCHEME_UNSPECIFIED: "",
    types.UriOverride.Scheme.HTTP: "http",
    types.UriOverride.Scheme.HTTPS: "https",
}
_CHANGEABLE = ("rate_limits", "retry_config", "http_target")


def complete_queue(queue: types.Queue) -> types.Queue:
    """Check a queue that is to be created, and fill in the defaults.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    if not _QUEUE.fullmatch(queue.name):
        raise invalid(f"Invalid resource field value in the request: queue name {queue.name!r}.")
    limits, retry = queue.rate_limits, queue.retry_config
    if not 0 <= limits.max_dispatches_per_second <= 500:
        raise invalid("max_dispatches_per_second must be between 0 and 500.")
    if not 0 <= limits.max_concurrent_dispatches <= 5000:
        raise invalid("max_concurrent_dispatches must be between 0 and 5000.")
    if retry.max_attempts < -1:
        raise invalid("max_attempts must be -1 (unlimited) or positive.")
    limits.max_dispatches_per_second = limits.max_dispatches_per_second or 500
    limits.max_concurrent_dispatches = limits.max_concurrent_dispatches or 1000
    limits.max_burst_size = max(1, round(limits.max_dispatches_per_second / 5))
    retry.max_attempts = retry.max_attempts or 100
    retry.min_backoff = retry.min_backoff or timedelta(milliseconds=100)
    retry.max_backoff = retry.max_backoff or timedelta(hours=1)
    retry.max_doublings = retry.max_doublings or 16
    if retry.min_backoff > retry.max_backoff:
        raise invalid("min_backoff must not be longer than max_backoff.")
    if queue.state == types.Queue.State.STATE_UNSPECIFIED:
        queue.state = types.Queue.State(types.Queue.State.RUNNING)
    return queue


def updated_queue(old: types.Queue, new: types.Queue, mask: Iterable[str]) -> types.Queue:
    """``old`` with the fields that ``mask`` names taken from ``new``; all that can change without a mask.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    changed = types.Queue(old)
    names = {path.partition(".")[0] for path in mask} or set(_CHANGEABLE)
    for name in sorted(names):
        if name not in _CHANGEABLE:
            raise invalid(f"Field {name} cannot be updated.")
        setattr(changed, name, getattr(new, name) if name in new else None)
    return complete_queue(changed)


def complete_task(task: types.Task, queue: types.Queue, default_name: str) -> types.Task:
    """Check a task that is to be created, and fill in what was left out.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    prefix = f"{queue.name}/tasks/"
    task.name = task.name or prefix + default_name
    if not task.name.startswith(prefix) or not _TASK_ID.fullmatch(task.name.removeprefix(prefix)):
        raise invalid(f"Invalid resource field value in the request: task name {task.name!r}.")
    if "http_request" not in task:
        raise invalid("the local Cloud Tasks has HTTP targets only")
    request = task.http_request
    if request.http_method == types.HttpMethod.HTTP_METHOD_UNSPECIFIED:
        request.http_method = types.HttpMethod(types.HttpMethod.POST)
    if request.body and request.http_method not in _WITH_BODY:
        raise invalid("HTTP request body is only allowed with POST, PUT and PATCH.")
    if urlsplit(request.url).scheme not in {"http", "https"} and not _overridden(queue):
        raise invalid("HTTP request url must begin with http:// or https://.")
    now = datetime.now(UTC)  # noqa: TID251 - a server's own time
    if task.schedule_time and task.schedule_time > now + MAX_AHEAD:
        raise invalid("schedule_time must not be more than 30 days in the future.")
    if task.dispatch_deadline and not SHORTEST <= task.dispatch_deadline <= LONGEST:
        raise invalid("dispatch_deadline must be between 15 s and 30 min.")
    if len(types.Task.serialize(task)) > MAX_TASK_BYTES:
        raise invalid("Task size too large.")
    task.dispatch_deadline = task.dispatch_deadline or USUAL
    task.create_time = now
    task.schedule_time = max(now, task.schedule_time or now)
    return task


def target_of(task: types.Task, queue: types.Queue) -> tuple[str, str]:
    """The method and the URL of a task's request, after the queue's routing."""
    request, target = task.http_request, queue.http_target
    forced = target.http_method != types.HttpMethod.HTTP_METHOD_UNSPECIFIED
    method = types.HttpMethod(target.http_method if forced else request.http_method).name
    if "uri_override" not in target:
        return method, request.url
    override, parts = target.uri_override, urlsplit(request.url)
    always = override.uri_override_enforce_mode != types.UriOverride.UriOverrideEnforceMode.IF_NOT_EXISTS
    given = {
        "scheme": _SCHEMES[types.UriOverride.Scheme(override.scheme)],
        "host": override.host or "",
        "port": f"{override.port}" if override.port else "",
        "path": override.path_override.path,
        "query": override.query_override.query_params,
    }
    own = {
        "scheme": parts.scheme,
        "host": parts.hostname or "",
        "port": f"{parts.port or ''}",
        "path": parts.path,
        "query": parts.query,
    }
    chosen = {name: (given[name] or own[name]) if always else (own[name] or given[name]) for name in own}
    port = f":{chosen['port']}" if chosen["port"] else ""
    query = f"?{chosen['query']}" if chosen["query"] else ""
    return method, f"{chosen['scheme'] or 'https'}://{chosen['host']}{port}{chosen['path'] or '/'}{query}"


def backoff(retry: types.RetryConfig, attempts: int) -> timedelta:
    """How long to wait after ``attempts`` failures: doubling, then growing evenly, never longer than the longest.

    Example:
        >>> ten, most = timedelta(seconds=10), timedelta(seconds=300)
        >>> retry = types.RetryConfig(min_backoff=ten, max_backoff=most, max_doublings=3)
        >>> [backoff(retry, attempts).seconds for attempts in range(1, 9)]
        [10, 20, 40, 80, 160, 240, 300, 300]
    """
    doublings = min(attempts - 1, retry.max_doublings)
    wait: timedelta = retry.min_backoff * 2**doublings * max(1, attempts - retry.max_doublings)
    longest: timedelta = retry.max_backoff
    return min(wait, longest)


def _overridden(queue: types.Queue) -> bool:
    return bool(queue.http_target.uri_override.host)
