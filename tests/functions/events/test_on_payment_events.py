"""A completed payment, and each of its refunds, is one task, however often it is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.cloud.tasks_v2 import CloudTasksAsyncClient, types
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

from common import ids
from common.events.message import message_attributes
from common.events.types import SOURCE, Event, PaymentCompleted, PaymentRefunded
from common.functions.testing import HttpEvent, Result, invoke, pubsub_event
from functions.events.on_payment_completed.main import main as completed
from functions.events.on_payment_refunded.main import main as refunded
from tests.billing.test_documents import Payment
from tests.path.dying import handled
from tools.sample_data import Billing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack

QUEUE = "job-generate-invoice"


class Queue:
    """The invoices' queue, paused."""

    def __init__(self, stack: Stack, client: CloudTasksAsyncClient) -> None:
        self.location = f"projects/{stack.environment['GOOGLE_CLOUD_PROJECT']}/locations/asia-south1"
        self.client, self.name = client, f"{self.location}/queues/{QUEUE}"

    async def bodies(self) -> list[dict[str, Any]]:
        request = {"parent": self.name, "response_view": types.Task.View.FULL}
        tasks = [task async for task in await self.client.list_tasks(request=request, retry=None, timeout=5)]
        return [json.loads(task.http_request.body) for task in tasks]


@pytest.fixture
async def queue(stack: Stack) -> AsyncIterator[Queue]:
    async with grpc.aio.insecure_channel(stack.environment["CLOUD_TASKS_EMULATOR_HOST"]) as channel:
        made = Queue(stack, CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel)))
        wanted = types.Queue(name=made.name)
        await made.client.create_queue(parent=made.location, queue=wanted, retry=None, timeout=5)
        await made.client.pause_queue(name=made.name, retry=None, timeout=5)
        yield made
        await made.client.delete_queue(name=made.name, retry=None, timeout=5)


def push(event: Event) -> HttpEvent:
    attributes = message_attributes(id=event.id, type=event.TYPE, source=SOURCE, subject=event.subject, time=event.time)
    return pubsub_event(event.data(), attributes)


async def deliver(main: Any, event: Event) -> Result:
    return await invoke(main, push(event))


def completion(paid: Payment) -> PaymentCompleted:
    return PaymentCompleted(
        workspace_id=paid.workspace_id, payment_id=paid.id, user_id=paid.user_id, total_amount_paise=353_882
    )


async def test_a_completed_payment_is_one_task(stack: Stack, queue: Queue) -> None:
    paid = Payment(stack, Billing())
    for event in [completion(paid)] * 3 + [completion(paid)]:  # the same again, and told by another event
        assert (await deliver(completed, event)).status == 204
    arguments = {"workspace_id": paid.workspace_id, "period": "2026-11", "payment_id": paid.id}
    assert await queue.bodies() == [{"scope": paid.id, "period": "2026-11", "arguments": arguments}]


async def test_killed_at_any_step_the_payment_has_one_task(stack: Stack, queue: Queue) -> None:
    deaths, survived = 0, False
    while not survived:
        paid = Payment(stack, Billing())
        event = push(completion(paid))
        survived = await handled("functions.events.on_payment_completed.main", event, deaths)
        assert (await invoke(completed, event)).status == 204
        assert [body["scope"] for body in await queue.bodies()].count(paid.id) == 1, f"killed at step {deaths}"
        deaths += not survived
    assert deaths >= 7  # around the look into the database, and around the task


async def test_the_period_is_the_month_in_india(stack: Stack, queue: Queue) -> None:
    paid = Payment(stack, Billing(), completed_at=datetime(2026, 11, 30, 18, 30, tzinfo=UTC))
    await deliver(completed, completion(paid))
    assert [body["period"] for body in await queue.bodies()] == ["2026-12"]


async def test_each_refund_is_a_task_of_its_own(stack: Stack, queue: Queue) -> None:
    paid = Payment(stack, Billing())
    await deliver(completed, completion(paid))
    refunds = [ids.new_id(), ids.new_id()]
    for refund_id in refunds * 2:
        event = PaymentRefunded(
            workspace_id=paid.workspace_id,
            payment_id=paid.id,
            user_id=paid.user_id,
            refund_id=refund_id,
            amount_paise=100,
        )
        assert (await deliver(refunded, event)).status == 204
    assert sorted(body["scope"] for body in await queue.bodies()) == sorted([paid.id, *refunds])


async def test_a_payment_that_is_gone_needs_nothing(stack: Stack, queue: Queue) -> None:
    paid, other = Payment(stack, Billing()), Payment(stack, Billing())
    gone = completion(paid)
    await paid.issue()
    stack.rows("update invoices set pdf_object = 'a.pdf', pdf_sha256 = repeat('0', 64)")
    stack.rows("delete from auth.users where id = %s", paid.user_id)
    assert (await deliver(completed, gone)).status == 204
    foreign = PaymentCompleted(
        workspace_id=paid.workspace_id, payment_id=other.id, user_id=other.user_id, total_amount_paise=1
    )
    assert (await deliver(completed, foreign)).status == 204
    assert await queue.bodies() == []


async def test_without_its_queue_the_event_comes_again(stack: Stack) -> None:
    assert (await deliver(completed, completion(Payment(stack, Billing())))).status == 500


async def test_without_cloud_tasks_the_event_comes_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", "127.0.0.1:1")
    assert (await deliver(completed, completion(Payment(stack, Billing())))).status == 503
