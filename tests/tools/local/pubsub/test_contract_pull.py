"""How Pub/Sub hands out messages, asked of ours and of Google's emulator through the real client libraries.

Where the emulator is known to do otherwise than the service, `KNOWN_DIFFERENCES` names the test: it must fail there, in
an assertion. A difference that disappears fails the suite, and so does a new one.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import InvalidArgument, NotFound
from google.cloud import pubsub_v1  # type: ignore[attr-defined] # of a namespace that has typed packages in it
from google.pubsub_v1 import types

from common.clock import now
from tests.tools.local.pubsub.project import ONCE, Project, eventually, ordered, texts

if TYPE_CHECKING:
    from collections.abc import Iterator


# --- pulling


async def test_every_subscription_gets_what_is_published_after_it_was_created(project: Project) -> None:
    topic = await project.topic()
    first = await project.subscription(topic, "first")
    await project.publish(topic, b"early")
    second = await project.subscription(topic, "second")
    await project.publish(topic, b"late")
    assert sorted(texts(await project.pull(first, 2))) == ["early", "late"]
    assert texts(await project.pull(second)) == ["late"]


async def test_a_pulled_message_is_whole_and_gone_once_acknowledged(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    before = now() - timedelta(milliseconds=1)
    [message_id] = await project.publish(
        topic, types.PubsubMessage(data=b"\x00\xff", attributes={"a": "b"}, ordering_key="k")
    )
    [received] = await project.pull(subscription)
    message = received.message
    assert (message.data, dict(message.attributes), message.ordering_key) == (b"\x00\xff", {"a": "b"}, "k")
    assert message.message_id == message_id
    assert before <= message.publish_time <= now()
    assert received.delivery_attempt == 0
    assert await project.pull_now(subscription) == []
    await project.ack(subscription, received)
    await project.seek(subscription, before)
    assert await project.pull_now(subscription) == []


async def test_a_pull_waits_for_a_message(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    pull = asyncio.create_task(project.pull(subscription))
    await asyncio.sleep(0.1)
    await project.publish(topic, b"at last")
    assert texts(await pull) == ["at last"]


async def test_a_refused_message_comes_again_at_once(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    await project.publish(topic, b"again")
    [first] = await project.pull(subscription)
    await project.nack(subscription, first)
    [second] = await project.pull(subscription)
    assert second.message.message_id == first.message.message_id
    assert second.ack_id != first.ack_id


async def test_a_message_comes_again_when_its_lease_runs_out(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    await project.publish(topic, b"again")
    [first] = await project.pull(subscription)
    await project.extend(subscription, 1, first)
    assert await project.pull_now(subscription) == []
    assert texts(await project.pull(subscription, within=3)) == ["again"]


async def test_an_ack_id_that_is_none_is_refused(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    for call in (
        project.subscriber.acknowledge(subscription=subscription, ack_ids=["nonsense"], **ONCE),
        project.subscriber.acknowledge(subscription=subscription, ack_ids=[], **ONCE),
        project.subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=["nonsense"], ack_deadline_seconds=10, **ONCE
        ),
    ):
        with pytest.raises(InvalidArgument):
            await call


async def test_a_pull_for_no_messages_is_refused(project: Project) -> None:
    subscription = await project.subscription(await project.topic())
    with pytest.raises(InvalidArgument):
        await project.pull_now(subscription, limit=0)


async def test_a_pulled_message_that_keeps_failing_is_buried_with_its_source(project: Project) -> None:
    topic, graves = await project.topic(), await project.topic("dead-letter")
    buried = await project.subscription(graves, "graveyard")
    policy = types.DeadLetterPolicy(dead_letter_topic=graves, max_delivery_attempts=5)
    subscription = await project.subscription(topic, dead_letter_policy=policy)
    await project.publish(topic, types.PubsubMessage(data=b"bad", attributes={"a": "b"}))
    attempts = []
    for _attempt in range(5):
        [received] = await project.pull(subscription)
        attempts.append((received.delivery_attempt, received.message.publish_time))
        await project.nack(subscription, received)
    assert await project.pull_now(subscription) == []
    [dead] = await project.pull(buried)
    attributes = dict(dead.message.attributes)
    published = datetime.fromisoformat(attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime"))
    assert attempts == [(number, published) for number in (1, 2, 3, 4, 5)]
    assert dead.message.data == b"bad"
    assert attributes == {
        "a": "b",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "worker",
        "CloudPubSubDeadLetterSourceSubscriptionProject": project.id,
    }


async def test_seek_replays_what_is_retained_and_purges_what_is_older(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic, retain_acked_messages=True)
    await project.publish(topic, b"done", b"open")
    messages = await project.pull(subscription, 2)
    await project.ack(subscription, *messages)
    await project.seek(subscription, now() - timedelta(minutes=1))
    replayed = await project.pull(subscription, 2)
    assert sorted(texts(replayed)) == ["done", "open"]
    await project.nack(subscription, *replayed)
    await project.seek(subscription, now() + timedelta(minutes=1))
    assert await project.pull_now(subscription) == []


async def test_seek_needs_a_target(project: Project) -> None:
    subscription = await project.subscription(await project.topic())
    with pytest.raises(InvalidArgument, match="Must specify either a time or a snapshot"):
        await project.subscriber.seek(request=types.SeekRequest(subscription=subscription), **ONCE)


# --- filters


async def test_a_filter_keeps_other_messages_out(project: Project) -> None:
    topic = await project.topic()
    only = 'attributes.kind = "payment" AND NOT hasPrefix(attributes.source, "test-")'
    subscription = await project.subscription(topic, filter=only)
    for kind, source in (("refund", "web"), ("payment", "test-web"), ("payment", "web")):
        await project.publish(topic, types.PubsubMessage(attributes={"kind": kind, "source": source}))
    received = await project.pull_now(subscription)
    assert [dict(each.message.attributes) for each in received] == [{"kind": "payment", "source": "web"}]


@pytest.mark.parametrize("text", ['attributes.kind == "a"', "attributes.kind = a", "attributes:" + "a" * 256])
async def test_an_invalid_filter_is_refused(project: Project, text: str) -> None:
    topic = await project.topic()
    with pytest.raises(InvalidArgument):
        await project.subscription(topic, filter=text)


# --- ordering


async def test_redelivery_keeps_the_order_of_a_key(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic, enable_message_ordering=True)
    await project.publish(topic, *ordered("1", "2", "3"))
    seen: list[str] = []
    refused = False
    while len(seen) < 4:
        received = await project.pull(subscription)
        seen += texts(received)
        if seen[-1] == "2" and not refused:
            refused = True
            await project.nack(subscription, *received)
        else:
            await project.ack(subscription, *received)
    assert seen == ["1", "2", "2", "3"]


async def test_an_unacknowledged_message_holds_up_its_key_and_no_other(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic, enable_message_ordering=True)
    await project.publish(topic, *ordered("a1", "a2", key="a"), *ordered("b1", key="b"))
    [first] = await project.pull(subscription)
    assert texts([first]) == ["a1"]
    assert texts(await project.pull_now(subscription)) == ["b1"]
    await project.ack(subscription, first)
    assert texts(await project.pull(subscription)) == ["a2"]


# --- streaming


async def _first_answer(project: Project, first: types.StreamingPullRequest) -> types.StreamingPullResponse | None:
    async def requests() -> Any:
        yield first
        await asyncio.Event().wait()

    stream = await project.subscriber.streaming_pull(requests=requests(), retry=None, timeout=5)
    async for answer in stream:
        return answer
    return None


async def test_a_stream_opens_with_a_subscription_and_a_deadline(project: Project) -> None:
    subscription = await project.subscription(await project.topic())
    for name, seconds, error in (
        ("", 10, InvalidArgument),
        (subscription, 9, InvalidArgument),
        (project.subscription_name("missing"), 10, NotFound),
    ):
        first = types.StreamingPullRequest(subscription=name, stream_ack_deadline_seconds=seconds)
        with pytest.raises(error):
            await _first_answer(project, first)


@pytest.fixture
def subscriber(target: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[pubsub_v1.SubscriberClient]:
    """The high-level client."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", target)
    with pubsub_v1.SubscriberClient() as client:
        yield client


async def test_the_high_level_clients_publish_and_receive_in_order(
    project: Project, subscriber: pubsub_v1.SubscriberClient
) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic, enable_message_ordering=True)
    publisher = pubsub_v1.PublisherClient(
        publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    )
    futures = [publisher.publish(topic, f"{number}".encode(), ordering_key=f"k{number % 2}") for number in range(10)]
    await asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
    seen: list[int] = []

    def receive(message: Any) -> None:
        seen.append(int(message.data))
        message.ack()

    stream = subscriber.subscribe(subscription, callback=receive)
    await eventually(lambda: len(seen) == 10)
    stream.cancel()
    await asyncio.to_thread(stream.result)
    await asyncio.to_thread(publisher.stop)
    assert [number for number in seen if number % 2] == [1, 3, 5, 7, 9]
    assert [number for number in seen if not number % 2] == [0, 2, 4, 6, 8]


async def test_a_stream_is_given_no_more_than_it_asks_for(
    project: Project, subscriber: pubsub_v1.SubscriberClient
) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    held: list[Any] = []
    stream = subscriber.subscribe(
        subscription, callback=held.append, flow_control=pubsub_v1.types.FlowControl(max_messages=2)
    )
    await project.publish(topic, b"1", b"2", b"3", b"4", b"5")
    await eventually(lambda: len(held) == 2)
    rest = await project.pull(subscription, 3, within=1)
    assert len(rest) == 3
    await project.nack(subscription, *rest)
    for message in held[:2]:
        message.ack()
    await eventually(lambda: len(held) >= 4)
    stream.cancel()
    await asyncio.to_thread(stream.result)


async def test_exactly_once_delivery_confirms_acknowledgements(
    project: Project, subscriber: pubsub_v1.SubscriberClient
) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic, enable_exactly_once_delivery=True)
    await project.publish(topic, b"once")
    confirmed: list[Any] = []
    stream = subscriber.subscribe(subscription, callback=lambda message: confirmed.append(message.ack_with_response()))
    await eventually(lambda: bool(confirmed))
    status = await asyncio.wrap_future(confirmed[0])
    stream.cancel()
    await asyncio.to_thread(stream.result)
    assert status.name == "SUCCESS"
