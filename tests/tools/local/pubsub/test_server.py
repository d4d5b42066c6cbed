"""What only our server does, or does in a way of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import GoogleAPICallError, InvalidArgument, MethodNotImplemented, NotFound
from google.pubsub_v1 import types

from tests.tools.local.pubsub.project import ONCE, Project, new_project, texts
from tests.tools.local.receiver import NEVER, Receiver
from tools.local.pubsub import Server, SubscriptionInfo, TopicInfo, start
from tools.local.pubsub.push import MAX_OUTSTANDING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.tools.local.pubsub.conftest import Signer


async def test_the_state_shows_topics_subscriptions_and_their_backlogs(ours: Server, local: Project) -> None:
    topic = await local.topic()
    name = await local.subscription(topic)
    await local.publish(topic, b"1", b"2", b"3")
    [done, _held] = await local.pull(name, 2)
    await local.ack(name, done)
    assert ours.state.topics == (TopicInfo(topic, (name,)),)
    assert ours.state.subscriptions == (SubscriptionInfo(name, topic, push_endpoint="", backlog=2, outstanding=1),)


async def test_a_hanging_endpoint_gets_a_bounded_number_of_requests(
    ours: Server, local: Project, receiver: Receiver
) -> None:
    topic = await local.topic()
    await local.push_subscription(topic, receiver.url())
    receiver.answer(then=NEVER)
    await local.publish(topic, *[b"x"] * (MAX_OUTSTANDING + 8))
    await receiver.requests(MAX_OUTSTANDING)
    assert not await receiver.reaches(MAX_OUTSTANDING + 1, within=0.3)
    assert ours.state.subscriptions[0].outstanding == MAX_OUTSTANDING


async def test_a_push_that_takes_longer_than_the_ack_deadline_is_sent_again(
    ours: Server, local: Project, receiver: Receiver
) -> None:
    topic = await local.topic()
    name = await local.push_subscription(topic, receiver.url())
    ours.state.subscription(name).config.ack_deadline_seconds = 1  # less than may be asked for: a test is in a hurry
    receiver.answer(NEVER)
    await local.publish(topic, b"x")
    first, second = await receiver.requests(2)
    assert 1.0 <= second.at - first.at < 3.0


async def test_a_failing_signer_or_a_closed_port_is_a_failed_delivery(
    ours: Server, local: Project, receiver: Receiver, unused_tcp_port: int
) -> None:
    def broken(_email: str, _audience: str) -> str:
        raise LookupError("no key")

    server = await start(0, sign=broken)
    try:
        async with new_project(f"127.0.0.1:{server.port}") as project:
            topic = await project.topic()
            token = types.PushConfig.OidcToken(service_account_email="someone@example.com")
            signed = await project.push_subscription(topic, receiver.url(), "signed", push={"oidc_token": token})
            await project.push_subscription(topic, f"http://127.0.0.1:{unused_tcp_port}/", "closed")
            await project.publish(topic, b"x")
            push = types.PushConfig(push_endpoint=receiver.url("/unsigned"))
            for name in (signed, project.subscription_name("closed")):
                await project.subscriber.modify_push_config(subscription=name, push_config=push, **ONCE)
            await receiver.requests(2, path="/unsigned")
            assert receiver.received["/"] == []
    finally:
        await server.stop()


async def test_a_late_acknowledgement_with_exactly_once_delivery_names_the_ack_id(local: Project) -> None:
    topic = await local.topic()
    subscription = await local.subscription(topic, enable_exactly_once_delivery=True)
    await local.publish(topic, b"x")
    [received] = await local.pull(subscription)
    await local.nack(subscription, received)
    with pytest.raises(InvalidArgument) as error:
        await local.ack(subscription, received)
    assert error.value.metadata == {received.ack_id: "PERMANENT_FAILURE_INVALID_ACK_ID"}


async def test_the_ack_id_of_another_subscription_is_refused(local: Project) -> None:
    topic = await local.topic()
    first, second = await local.subscription(topic, "first"), await local.subscription(topic, "second")
    await local.publish(topic, b"x")
    [received] = await local.pull(first)
    with pytest.raises(InvalidArgument, match="does not belong to the given ack ID"):
        await local.ack(second, received)


async def test_a_subscription_made_again_under_its_name_starts_empty(local: Project) -> None:
    topic = await local.topic()
    name = await local.subscription(topic)
    await local.publish(topic, b"old")
    [received] = await local.pull(name)
    await local.subscriber.delete_subscription(subscription=name, **ONCE)
    await local.subscription(topic)
    assert await local.pull_now(name) == []
    with pytest.raises(InvalidArgument):
        await local.ack(name, received)


async def test_what_waits_on_a_deleted_subscription_is_told(local: Project) -> None:
    name = await local.subscription(await local.topic())
    pull = asyncio.create_task(local.pull(name))
    stream = asyncio.create_task(_read_stream(local, name))
    await asyncio.sleep(0.1)
    await local.subscriber.delete_subscription(subscription=name, **ONCE)
    for waiting in (pull, stream):
        with pytest.raises(NotFound):
            await waiting


async def _read_stream(project: Project, subscription: str, *more: types.StreamingPullRequest) -> list[str]:
    """Everything from a stream whose client says this and then nothing."""

    async def requests() -> AsyncIterator[types.StreamingPullRequest]:
        yield types.StreamingPullRequest(subscription=subscription, stream_ack_deadline_seconds=10)
        for request in more:
            yield request
        await asyncio.Event().wait()

    stream = await project.subscriber.streaming_pull(requests=requests(), retry=None, timeout=10)
    return [text async for answer in stream for text in texts(list(answer.received_messages))]


async def test_a_stream_acknowledges_and_refuses(ours: Server, local: Project) -> None:
    topic = await local.topic()
    name = await local.subscription(topic)
    await local.publish(topic, b"done", b"again")
    messages = {received.message.data: received.ack_id for received in await local.pull(name, 2)}
    request = types.StreamingPullRequest(
        ack_ids=[messages[b"done"]], modify_deadline_ack_ids=[messages[b"again"]], modify_deadline_seconds=[0]
    )
    broken = types.StreamingPullRequest(modify_deadline_ack_ids=["x"])
    with pytest.raises(InvalidArgument, match="same length"):
        await _read_stream(local, name, request, broken)
    assert ours.state.subscriptions[0].backlog == 1


@pytest.mark.parametrize(
    "fields", [{"bigquery_config": {"table": "p.d.t"}}, {"cloud_storage_config": {"bucket": "somewhere"}}]
)
async def test_what_is_not_emulated_says_so(local: Project, fields: dict[str, Any]) -> None:
    topic = await local.topic()
    with pytest.raises(MethodNotImplemented, match="the local Pub/Sub has no"):
        await local.subscription(topic, **fields)
    request = types.DetachSubscriptionRequest(subscription=local.subscription_name())
    with pytest.raises(MethodNotImplemented):
        await local.publisher.detach_subscription(request=request, **ONCE)


async def test_an_update_is_all_or_nothing_and_leaves_other_fields_alone(local: Project) -> None:
    topic = await local.topic()
    name = await local.subscription(topic, labels={"a": "b"})
    wrong = types.Subscription(name=name, ack_deadline_seconds=5, labels={"c": "d"})
    with pytest.raises(InvalidArgument):
        await local.update(wrong, "labels", "ack_deadline_seconds")
    right = types.Subscription(name=name, ack_deadline_seconds=5, labels={"c": "d"})
    changed = await local.update(right, "labels")
    assert (dict(changed.labels), changed.ack_deadline_seconds) == ({"c": "d"}, 10)


async def test_a_policy_can_be_taken_away(local: Project) -> None:
    topic = await local.topic()
    policy = types.RetryPolicy(minimum_backoff=timedelta(seconds=600))
    name = await local.subscription(topic, retry_policy=policy)
    await local.publish(topic, b"x")
    changed = await local.update(types.Subscription(name=name), "retry_policy")
    assert "retry_policy" not in changed
    [received] = await local.pull(name)
    await local.nack(name, received)
    assert texts(await local.pull(name)) == ["x"]


async def test_stopping_ends_streams_pulls_and_pushes_and_leaves_no_task(signer: Signer, receiver: Receiver) -> None:
    server = await start(0, sign=signer)
    async with new_project(f"127.0.0.1:{server.port}") as project:
        topic = await project.topic()
        await project.push_subscription(topic, receiver.url(), "pushed")
        receiver.answer(then=NEVER)
        name = await project.subscription(topic)
        await asyncio.gather(project.publish(topic, b"x"), receiver.requests(1))
        assert texts(await project.pull(name)) == ["x"]
        waiting = [asyncio.create_task(_read_stream(project, name)), asyncio.create_task(project.pull(name))]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await server.stop()
            for result in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(result, GoogleAPICallError), result
    left = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not {name for name in left if name.startswith("push to")}


async def test_a_taken_port_is_an_error(ours: Server, signer: Signer) -> None:
    with pytest.raises(RuntimeError):
        await start(ours.port, sign=signer)


async def _run(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tools.local.pubsub", *arguments)
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def test_it_runs_by_itself_until_it_is_told_to_stop(receiver: Receiver) -> None:
    process = await _run("--port", "0")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        address = (await process.stdout.readline()).decode().strip().removeprefix("export PUBSUB_EMULATOR_HOST=")
        async with new_project(address) as project:
            topic = await project.topic()
            token = types.PushConfig.OidcToken(service_account_email="someone@example.com")
            await project.push_subscription(topic, receiver.url(), push={"oidc_token": token})
            await project.publish(topic, b"x")
            [request] = await receiver.requests(1)
        process.send_signal(signal.SIGTERM)
        _out, errors = await process.communicate()
    assert request.headers["authorization"].startswith("Bearer ey")
    assert (process.returncode, errors) == (0, b"")


async def test_it_says_how_to_use_it_and_what_is_wrong(ours: Server) -> None:
    helped, taken = await asyncio.gather(_run("--help"), _run("--port", str(ours.port)))
    async with asyncio.timeout(20):
        (usage, _), (_, complaint) = await asyncio.gather(helped.communicate(), taken.communicate())
    assert (helped.returncode, taken.returncode) == (0, 1)
    assert b"--port" in usage
    assert b"choose another with --port" in complaint
