"""What Pub/Sub accepts and stores, asked of ours and of Google's emulator through the real client libraries.

Where the emulator is known to do otherwise than the service, `KNOWN_DIFFERENCES` names the test: it must fail there, in
an assertion. A difference that disappears fails the suite, and so does a new one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import AlreadyExists, InvalidArgument, NotFound, OutOfRange
from google.pubsub_v1 import types

from common.clock import now
from tests.tools.local.pubsub import test_contract_pull, test_contract_push
from tests.tools.local.pubsub.known_differences import KNOWN_DIFFERENCES
from tests.tools.local.pubsub.project import ONCE, Project, texts

if TYPE_CHECKING:
    from tests.tools.local.receiver import Receiver


def test_every_known_difference_names_a_test() -> None:
    tests = {*globals(), *vars(test_contract_pull), *vars(test_contract_push)}
    assert tests.issuperset(KNOWN_DIFFERENCES)


# --- topics


async def test_a_topic_is_created_once_and_read_back(project: Project) -> None:
    topic = await project.topic()
    assert (await project.publisher.get_topic(topic=topic, **ONCE)).name == topic
    with pytest.raises(AlreadyExists, match="already exists"):
        await project.topic()


@pytest.mark.parametrize("name", ["ab", "1abc", "goog-topic", "with space", "a" * 256])
async def test_an_invalid_name_is_refused(project: Project, name: str) -> None:
    topic = await project.topic()
    with pytest.raises(InvalidArgument):
        await project.topic(name)
    with pytest.raises(InvalidArgument):
        await project.subscription(topic, name)


async def test_an_unknown_topic_is_not_found(project: Project) -> None:
    topic = project.topic_name("missing")
    for call in (
        project.publisher.get_topic(topic=topic, **ONCE),
        project.publisher.delete_topic(topic=topic, **ONCE),
        project.publish(topic, b"x"),
        project.subscription(topic),
    ):
        with pytest.raises(NotFound):
            await call


async def test_topics_are_listed_page_by_page_and_only_the_project_s(project: Project) -> None:
    names = [await project.topic(f"topic-{number}") for number in range(5)]
    request = types.ListTopicsRequest(project=project.path, page_size=2)
    pager = await project.publisher.list_topics(request=request, **ONCE)
    pages = [[topic.name for topic in page.topics] async for page in pager.pages]
    assert max(map(len, pages)) == 2
    assert sorted(name for page in pages for name in page) == names


async def test_a_topic_s_labels_can_be_changed(project: Project) -> None:
    topic = types.Topic(name=await project.topic(), labels={"team": "billing"})
    request = types.UpdateTopicRequest(topic=topic, update_mask={"paths": ["labels"]})
    try:
        updated = await project.publisher.update_topic(request=request, **ONCE)
    except InvalidArgument as error:
        pytest.fail(str(error))
    assert updated.labels == {"team": "billing"}


async def test_an_update_needs_a_mask_of_known_and_mutable_fields(project: Project) -> None:
    topic = types.Topic(name=await project.topic())
    subscription = types.Subscription(name=await project.subscription(topic.name), topic=topic.name)
    with pytest.raises(InvalidArgument, match="must contain a non-empty paths list"):
        await project.publisher.update_topic(request=types.UpdateTopicRequest(topic=topic), **ONCE)
    with pytest.raises(InvalidArgument, match="must contain a non-empty paths list"):
        await project.update(subscription)
    for path in ("name", "topic", "filter", "enable_message_ordering", "nonsense", "pushConfig"):
        with pytest.raises(InvalidArgument):
            await project.update(subscription, path)


async def test_a_deleted_topic_leaves_its_subscriptions_with_their_messages(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    await project.publish(topic, b"kept")
    await project.publisher.delete_topic(topic=topic, **ONCE)
    stored = await project.subscriber.get_subscription(subscription=subscription, **ONCE)
    assert stored.topic == "_deleted-topic_"
    assert texts(await project.pull(subscription)) == ["kept"]


async def test_the_subscriptions_of_a_topic_are_listed(project: Project) -> None:
    topic, other = await project.topic("one"), await project.topic("other")
    wanted = {await project.subscription(topic, "first"), await project.subscription(topic, "second")}
    await project.subscription(other, "third")
    pager = await project.publisher.list_topic_subscriptions(topic=topic, **ONCE)
    assert {name async for name in pager} == wanted


async def test_subscriptions_of_an_unknown_topic_are_not_listed(project: Project) -> None:
    with pytest.raises(NotFound):
        await project.publisher.list_topic_subscriptions(topic=project.topic_name("missing"), **ONCE)


# --- publishing


async def test_an_empty_message_or_batch_or_a_huge_batch_is_refused(project: Project) -> None:
    topic = await project.topic()
    for batch in ([types.PubsubMessage()], [], [b"x"] * 1001):
        with pytest.raises(InvalidArgument):
            await project.publish(topic, *batch)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"attributes": {f"k{number}": "v" for number in range(101)}}, id="attributes"),
        pytest.param({"attributes": {"k" * 257: "v"}}, id="key"),
        pytest.param({"attributes": {"": "v"}}, id="empty-key"),
        pytest.param({"attributes": {"k": "v" * 1025}}, id="value"),
        pytest.param({"attributes": {"k": "é" * 513}}, id="value-in-bytes"),
        pytest.param({"data": b"x", "ordering_key": "k" * 1025}, id="ordering-key"),
        pytest.param({"data": b"x" * (10 * 1024 * 1024)}, id="request"),
    ],
)
async def test_a_message_over_a_limit_is_refused(project: Project, message: dict[str, Any]) -> None:
    topic = await project.topic()
    with pytest.raises(InvalidArgument):
        await project.publish(topic, types.PubsubMessage(message))


async def test_a_message_at_the_limits_is_accepted(project: Project) -> None:
    topic = await project.topic()
    attributes = {f"{number:0256}": "v" * 1024 for number in range(100)}
    full = types.PubsubMessage(data=b"x" * 9_000_000, attributes=attributes, ordering_key="k" * 1024)
    assert len(await project.publish(topic, full)) == 1


async def test_message_ids_differ_and_grow(project: Project) -> None:
    topic = await project.topic()
    ids = [*await project.publish(topic, b"a", b"b"), *await project.publish(topic, b"c")]
    assert sorted(set(ids), key=int) == ids


# --- subscriptions


async def test_a_subscription_is_created_once_with_the_service_s_defaults(project: Project) -> None:
    topic = await project.topic()
    subscription = await project.subscription(topic)
    stored = await project.subscriber.get_subscription(subscription=subscription, **ONCE)
    assert (stored.topic, stored.ack_deadline_seconds) == (topic, 10)
    assert stored.message_retention_duration == timedelta(days=7)
    with pytest.raises(AlreadyExists, match="already exists"):
        await project.subscription(topic)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"ack_deadline_seconds": 601}, id="ack-deadline"),
        pytest.param({"message_retention_duration": timedelta(seconds=599)}, id="retention-short"),
        pytest.param({"message_retention_duration": timedelta(days=32)}, id="retention-long"),
        pytest.param({"retry_policy": {"minimum_backoff": timedelta(seconds=601)}}, id="backoff-long"),
        pytest.param(
            {"retry_policy": {"minimum_backoff": timedelta(seconds=9), "maximum_backoff": timedelta(seconds=8)}},
            id="backoff-inverted",
        ),
        pytest.param({"push_config": {"push_endpoint": "ftp://example.com"}}, id="endpoint-scheme"),
        pytest.param({"push_config": {"push_endpoint": "nowhere"}}, id="endpoint-url"),
    ],
)
async def test_a_subscription_out_of_bounds_is_refused(project: Project, fields: dict[str, Any]) -> None:
    topic = await project.topic()
    with pytest.raises(InvalidArgument):
        await project.subscription(topic, **fields)


@pytest.mark.parametrize("attempts", [4, 101])
async def test_delivery_attempts_are_five_to_a_hundred(project: Project, attempts: int) -> None:
    topic = await project.topic()
    policy = types.DeadLetterPolicy(dead_letter_topic=topic, max_delivery_attempts=attempts)
    with pytest.raises(OutOfRange, match=f"You passed {attempts} in the request"):
        await project.subscription(topic, dead_letter_policy=policy)


async def test_a_dead_letter_topic_must_exist(project: Project) -> None:
    topic = await project.topic()
    policy = types.DeadLetterPolicy(dead_letter_topic=project.topic_name("missing"))
    with pytest.raises(NotFound):
        await project.subscription(topic, dead_letter_policy=policy)


async def test_an_ack_deadline_below_ten_seconds_is_refused(project: Project) -> None:
    topic = await project.topic()
    with pytest.raises(InvalidArgument):
        await project.subscription(topic, ack_deadline_seconds=9)


async def test_exactly_once_delivery_is_refused_for_push(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    with pytest.raises(InvalidArgument):
        await project.push_subscription(topic, receiver.url(), enable_exactly_once_delivery=True)


async def test_a_subscription_can_be_changed_listed_and_deleted(project: Project) -> None:
    topic = await project.topic()
    name = await project.subscription(topic)
    changed = await project.update(types.Subscription(name=name, ack_deadline_seconds=33), "ack_deadline_seconds")
    assert changed.ack_deadline_seconds == 33
    pager = await project.subscriber.list_subscriptions(project=project.path, **ONCE)
    assert [(each.name, each.ack_deadline_seconds) async for each in pager] == [(name, 33)]
    await project.subscriber.delete_subscription(subscription=name, **ONCE)
    for call in (
        project.subscriber.get_subscription(subscription=name, **ONCE),
        project.subscriber.delete_subscription(subscription=name, **ONCE),
        project.pull_now(name),
        project.update(types.Subscription(name=name), "labels"),
        project.seek(name, now()),
    ):
        with pytest.raises(NotFound):
            await call
