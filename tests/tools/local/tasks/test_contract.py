"""What Cloud Tasks does, through Google's own client library.

Google has no emulator of it to compare with: what is expected here is what the library's reference and the quota page
say. The one that others made, gcloud-tasks-emulator 0.6.2, is no yardstick: it cannot delete a task, takes a name
twice, retries every 0.1 s for ever whatever the queue says, knows no rate, and sends no token.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud.tasks_v2 import types

from tests.tools.local.receiver import NEVER
from tests.tools.local.tasks.conftest import LOCATION, Tasks
from tools.local.tasks.rules import backoff

if TYPE_CHECKING:
    from tests.tools.local.receiver import Received


def gaps(received: list[Received]) -> list[float]:
    return [after.at - before.at for before, after in itertools.pairwise(received)]


async def empty(tasks: Tasks) -> None:
    async with asyncio.timeout(5):
        while await tasks.names():
            await asyncio.sleep(0.01)


# --- queues


async def test_a_queue_gets_the_services_defaults(tasks: Tasks) -> None:
    queue = await tasks.client.create_queue(parent=LOCATION, queue=types.Queue(name=tasks.queue), retry=None, timeout=5)
    assert queue.state == types.Queue.State.RUNNING
    assert (queue.rate_limits.max_dispatches_per_second, queue.rate_limits.max_concurrent_dispatches) == (500, 1000)
    assert queue.rate_limits.max_burst_size == 100
    assert (queue.retry_config.max_attempts, queue.retry_config.max_doublings) == (100, 16)
    assert queue.retry_config.max_backoff == timedelta(hours=1)


async def test_a_queue_exists_once(tasks: Tasks) -> None:
    await tasks.make_queue()
    with pytest.raises(exceptions.AlreadyExists):
        await tasks.make_queue()


@pytest.mark.parametrize(
    "queue",
    [
        {"name": f"{LOCATION}/queues/under_score"},
        {"name": "projects/other/locations/asia-south1/queues/q"},
        {"rate_limits": {"max_dispatches_per_second": 501}},
        {"rate_limits": {"max_concurrent_dispatches": 5001}},
        {"retry_config": {"max_attempts": -2}},
        {"retry_config": {"min_backoff": timedelta(seconds=2), "max_backoff": timedelta(seconds=1)}},
    ],
)
async def test_a_queue_that_the_service_refuses(tasks: Tasks, queue: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await tasks.client.create_queue(
            parent=LOCATION, queue=types.Queue({"name": tasks.queue, **queue}), retry=None, timeout=5
        )


async def test_a_queue_is_updated_by_its_mask_or_created(tasks: Tasks) -> None:
    wanted = types.Queue(name=tasks.queue, rate_limits={"max_dispatches_per_second": 7})
    made = await tasks.client.update_queue(queue=wanted, retry=None, timeout=5)
    assert made.rate_limits.max_dispatches_per_second == 7
    wanted = types.Queue(
        name=tasks.queue, rate_limits={"max_dispatches_per_second": 9}, retry_config={"max_attempts": 2}
    )
    changed = await tasks.client.update_queue(
        queue=wanted, update_mask={"paths": ["retry_config"]}, retry=None, timeout=5
    )
    assert (changed.rate_limits.max_dispatches_per_second, changed.retry_config.max_attempts) == (7, 2)
    with pytest.raises(exceptions.InvalidArgument):
        await tasks.client.update_queue(queue=wanted, update_mask={"paths": ["name"]}, retry=None, timeout=5)


async def test_queues_are_listed_in_pages_and_deleted(tasks: Tasks) -> None:
    for name in "abc":
        queue = types.Queue(name=f"{LOCATION}/queues/{name}")
        await tasks.client.create_queue(parent=LOCATION, queue=queue, retry=None, timeout=5)
    pager = await tasks.client.list_queues(request={"parent": LOCATION, "page_size": 2}, retry=None, timeout=5)
    assert [queue.name[-1] async for queue in pager] == ["a", "b", "c"]
    await tasks.client.delete_queue(name=f"{LOCATION}/queues/b", retry=None, timeout=5)
    with pytest.raises(exceptions.NotFound):
        await tasks.client.get_queue(name=f"{LOCATION}/queues/b", retry=None, timeout=5)


# --- dispatch


async def test_a_task_arrives_with_the_services_headers(tasks: Tasks) -> None:
    await tasks.make_queue()
    await tasks.add(task_id="t1", request={"headers": {"Content-Type": "application/json", "X-A": "1"}})
    (received,) = await tasks.receiver.requests(1)
    await empty(tasks)
    assert received.body == b"{}"
    assert received.headers | {"x-cloudtasks-tasketa": ""} == received.headers | {
        "content-type": "application/json",
        "x-a": "1",
        "user-agent": "Google-Cloud-Tasks",
        "x-cloudtasks-queuename": tasks.queue.rpartition("/")[2],
        "x-cloudtasks-taskname": "t1",
        "x-cloudtasks-taskretrycount": "0",
        "x-cloudtasks-taskexecutioncount": "0",
        "x-cloudtasks-tasketa": "",
    }
    assert abs(float(received.headers["x-cloudtasks-tasketa"]) - time.time()) < 5
    assert "authorization" not in received.headers


async def test_failures_are_retried_with_their_counts_until_success(tasks: Tasks) -> None:
    await tasks.make_queue(attempts=5)
    tasks.receiver.answer(500, 404, then=200)
    await tasks.add()
    received = await tasks.receiver.requests(3)
    await empty(tasks)
    assert [one.headers["x-cloudtasks-taskretrycount"] for one in received] == ["0", "1", "2"]
    assert [one.headers["x-cloudtasks-taskexecutioncount"] for one in received] == ["0", "1", "2"]
    assert [one.headers.get("x-cloudtasks-taskpreviousresponse") for one in received] == [None, "500", "404"]


async def test_after_its_last_attempt_a_task_is_gone(tasks: Tasks) -> None:
    await tasks.make_queue(attempts=3)
    tasks.receiver.answer(then=503)
    await tasks.add()
    await tasks.receiver.requests(3)
    await empty(tasks)
    assert not await tasks.receiver.reaches(4, within=0.4)


def test_the_backoff_doubles_then_grows_evenly_then_stays() -> None:
    retry = types.RetryConfig(
        min_backoff=timedelta(seconds=10), max_backoff=timedelta(seconds=300), max_doublings=3
    )  # the example of the documentation
    assert [backoff(retry, attempts).seconds for attempts in range(1, 9)] == [10, 20, 40, 80, 160, 240, 300, 300]


async def test_the_backoff_is_kept(tasks: Tasks) -> None:
    await tasks.make_queue(attempts=4, backoff=0.1)
    tasks.receiver.answer(then=500)
    await tasks.add()
    first, second, third = gaps(await tasks.receiver.requests(4))
    assert 0.1 <= first < 0.25
    assert 0.2 <= second < 0.4
    assert 0.4 <= third < 0.7


async def test_no_answer_within_the_dispatch_deadline_is_a_failed_attempt(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.local.tasks.rules.SHORTEST", timedelta(milliseconds=100))
    await tasks.make_queue()
    tasks.receiver.answer(NEVER, then=200)
    await tasks.add(dispatch_deadline=timedelta(milliseconds=200))
    received = await tasks.receiver.requests(2)
    assert received[1].headers["x-cloudtasks-taskexecutioncount"] == "0"
    assert received[1].headers["x-cloudtasks-taskretrycount"] == "1"


async def test_only_when_both_limits_are_reached_a_task_is_given_up(tasks: Tasks) -> None:
    await tasks.make_queue(attempts=2, max_retry_duration=timedelta(seconds=0.5))
    tasks.receiver.answer(then=500)
    await tasks.add()
    received = await tasks.receiver.requests(3)  # its attempts are used up, its time is not
    await empty(tasks)
    assert received[-1].at - received[0].at < 0.5 + 1
    count = len(tasks.receiver.received["/"])
    assert not await tasks.receiver.reaches(count + 1, within=0.4)


async def test_a_task_waits_for_its_schedule(tasks: Tasks) -> None:
    await tasks.make_queue()
    started = time.monotonic()
    await tasks.add(schedule_time=datetime.now(UTC) + timedelta(seconds=0.5))  # noqa: TID251
    (received,) = await tasks.receiver.requests(1)
    assert received.at - started >= 0.4


async def test_no_more_tasks_run_at_once_than_the_queue_allows(tasks: Tasks) -> None:
    await tasks.make_queue(rate_limits={"max_concurrent_dispatches": 2})
    tasks.receiver.answer(NEVER, NEVER)
    for _ in range(3):
        await tasks.add()
    await tasks.receiver.requests(2)
    assert not await tasks.receiver.reaches(3, within=0.3)


async def test_the_rate_is_kept(tasks: Tasks) -> None:
    await tasks.make_queue(rate_limits={"max_dispatches_per_second": 10})
    for _ in range(6):
        await tasks.add()
    received = await tasks.receiver.requests(6)
    assert received[5].at - received[0].at >= 0.35  # a burst of two, then ten a second


async def test_the_queue_decides_where_and_as_whom(tasks: Tasks) -> None:
    await tasks.make_queue(
        http_target=types.HttpTarget(
            uri_override=types.UriOverride(
                scheme=types.UriOverride.Scheme.HTTP,
                host="127.0.0.1",
                port=tasks.receiver.port,
                path_override={"path": "/job-a"},
                uri_override_enforce_mode=types.UriOverride.UriOverrideEnforceMode.ALWAYS,
            ),
            header_overrides=[{"header": {"key": "X-B", "value": "2"}}],
            oidc_token=types.OidcToken(service_account_email="invoker@p", audience="https://job-a"),
        )
    )
    await tasks.add(request={"url": "https://nowhere.invalid/x"})
    (received,) = await tasks.receiver.requests(1, path="/job-a")
    assert received.headers["authorization"] == "Bearer token of invoker@p for https://job-a"
    assert received.headers["x-b"] == "2"


async def test_a_tasks_own_token_is_for_its_url(tasks: Tasks) -> None:
    await tasks.make_queue()
    await tasks.add(request={"oidc_token": {"service_account_email": "a@p"}})
    (received,) = await tasks.receiver.requests(1)
    assert received.headers["authorization"] == f"Bearer token of a@p for {tasks.receiver.url()}"


# --- names


async def test_a_name_is_taken_while_the_task_lives_and_after(tasks: Tasks) -> None:
    await tasks.make_queue()
    await tasks.client.pause_queue(name=tasks.queue, retry=None, timeout=5)
    await tasks.add(task_id="t1")
    with pytest.raises(exceptions.AlreadyExists):
        await tasks.add(task_id="t1")
    await tasks.client.resume_queue(name=tasks.queue, retry=None, timeout=5)
    await tasks.receiver.requests(1)
    await empty(tasks)
    with pytest.raises(exceptions.AlreadyExists):
        await tasks.add(task_id="t1")
    assert not await tasks.receiver.reaches(2, within=0.2)


async def test_a_deleted_task_is_not_dispatched_and_its_name_stays_taken(tasks: Tasks) -> None:
    await tasks.make_queue()
    task = await tasks.add(task_id="t1", schedule_time=datetime.now(UTC) + timedelta(hours=1))  # noqa: TID251
    await tasks.client.delete_task(name=task.name, retry=None, timeout=5)
    with pytest.raises(exceptions.NotFound, match="recently"):
        await tasks.client.delete_task(name=task.name, retry=None, timeout=5)
    with pytest.raises(exceptions.AlreadyExists):
        await tasks.add(task_id="t1")


@pytest.mark.parametrize(
    "options",
    [
        {"task_id": "a/b"},
        {"task_id": "x" * 501},
        {"schedule_time": datetime(2999, 1, 1, tzinfo=UTC)},
        {"dispatch_deadline": timedelta(seconds=14)},
        {"dispatch_deadline": timedelta(minutes=31)},
        {"request": {"url": "ftp://x"}},
        {"request": {"http_method": types.HttpMethod.GET}},
        {"request": {"body": b"x" * 1024 * 1024}},
    ],
)
async def test_a_task_that_the_service_refuses(tasks: Tasks, options: dict[str, Any]) -> None:
    await tasks.make_queue()
    with pytest.raises(exceptions.InvalidArgument):
        await tasks.add(**options)


async def test_an_unknown_queue_is_not_found(tasks: Tasks) -> None:
    with pytest.raises(exceptions.NotFound):
        await tasks.add()


# --- operating


async def test_a_paused_queue_keeps_its_tasks(tasks: Tasks) -> None:
    await tasks.make_queue()
    await tasks.client.pause_queue(name=tasks.queue, retry=None, timeout=5)
    await tasks.add(task_id="t1")
    assert not await tasks.receiver.reaches(1, within=0.2)
    assert await tasks.names() == ["t1"]
    await tasks.client.resume_queue(name=tasks.queue, retry=None, timeout=5)
    await tasks.receiver.requests(1)


async def test_a_task_can_be_run_now(tasks: Tasks) -> None:
    await tasks.make_queue()
    task = await tasks.add(schedule_time=datetime.now(UTC) + timedelta(hours=1))  # noqa: TID251
    await tasks.client.run_task(name=task.name, retry=None, timeout=5)
    await tasks.receiver.requests(1)
    await empty(tasks)


async def test_a_queue_can_be_purged(tasks: Tasks) -> None:
    await tasks.make_queue()
    await tasks.client.pause_queue(name=tasks.queue, retry=None, timeout=5)
    for number in range(3):
        await tasks.add(task_id=f"t{number}")
    await tasks.client.purge_queue(name=tasks.queue, retry=None, timeout=5)
    assert await tasks.names() == []


async def test_the_body_is_shown_in_the_full_view_only(tasks: Tasks) -> None:
    await tasks.make_queue()
    await tasks.client.pause_queue(name=tasks.queue, retry=None, timeout=5)
    task = await tasks.add()
    assert task.http_request.body == b""
    full = await tasks.client.get_task(
        request={"name": task.name, "response_view": types.Task.View.FULL}, retry=None, timeout=5
    )
    assert full.http_request.body == b"{}"
