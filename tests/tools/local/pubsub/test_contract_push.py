"""How Pub/Sub pushes, asked of ours and of Google's emulator through the real client libraries.

Where the emulator is known to do otherwise than the service, `KNOWN_DIFFERENCES` names the test: it must fail there, in
an assertion. A difference that disappears fails the suite, and so does a new one.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from google.pubsub_v1 import types

from tests.tools.local.pubsub.project import ONCE, Project, ordered, texts

if TYPE_CHECKING:
    from tests.tools.local.pubsub.conftest import Signer
    from tests.tools.local.receiver import Receiver


SHORT = timedelta(milliseconds=100)


async def test_a_push_carries_the_message_in_both_spellings(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    subscription = await project.push_subscription(topic, receiver.url("/hook"))
    [message_id] = await project.publish(topic, types.PubsubMessage(data=b"hello", attributes={"a": "b"}))
    [request] = await receiver.requests(1, path="/hook")
    body = request.json
    published = body["message"]["publishTime"]
    assert datetime.fromisoformat(published).tzinfo is not None
    assert body == {
        "subscription": subscription,
        "message": {
            "data": base64.b64encode(b"hello").decode(),
            "attributes": {"a": "b"},
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": published,
            "publish_time": published,
        },
    }
    assert request.headers["content-type"].startswith("application/json")


async def test_a_push_without_data_has_no_data_field(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    await project.push_subscription(topic, receiver.url())
    await project.publish(topic, types.PubsubMessage(attributes={"a": "b"}))
    [request] = await receiver.requests(1)
    assert "data" not in request.json["message"]


async def test_a_push_carries_the_ordering_key(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    await project.push_subscription(topic, receiver.url(), enable_message_ordering=True)
    await project.publish(topic, *ordered("x", key="customer-1"))
    [request] = await receiver.requests(1)
    assert request.json["message"].get("orderingKey") == "customer-1"


async def test_only_five_answers_acknowledge_a_push(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    subscription = await project.push_subscription(topic, receiver.url())
    receiver.answer(404, 208)
    await project.publish(topic, b"x")
    requests = await receiver.requests(3)
    assert len({request.json["message"]["messageId"] for request in requests}) == 1
    receiver.answer(200, 201, 202, 204, then=500)
    for number in range(4):
        await project.publish(topic, b"x")
        await receiver.requests(4 + number)
    await project.subscriber.modify_push_config(subscription=subscription, push_config=types.PushConfig(), **ONCE)
    assert await project.pull_now(subscription) == []


async def test_a_redirect_is_a_failure(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    await project.push_subscription(topic, receiver.url())
    receiver.answer(302)
    await project.publish(topic, b"x")
    await receiver.requests(2, within=1)
    assert not receiver.received["/elsewhere"]


async def test_pushes_without_a_policy_back_off_from_a_tenth_of_a_second(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    await project.push_subscription(topic, receiver.url())
    receiver.answer(500, 500, 500)
    await project.publish(topic, b"x")
    assert _waits_at_least(await receiver.requests(4, within=1.5), 0.1, 0.2, 0.4)


async def test_pushes_back_off_by_their_policy(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    policy = types.RetryPolicy(minimum_backoff=SHORT, maximum_backoff=2 * SHORT)
    await project.push_subscription(topic, receiver.url(), retry_policy=policy)
    receiver.answer(500, 500, 500)
    await project.publish(topic, b"x")
    assert _waits_at_least(await receiver.requests(4, within=1.5), 0.1, 0.2, 0.2)


def _waits_at_least(requests: list[Any], *seconds: float) -> bool:
    """At least: a busy machine adds to them, and the time-out of waiting for the requests bounds that."""
    gaps = [after.at - before.at for before, after in pairwise(requests)]
    return all(gap >= wanted - 0.02 for gap, wanted in zip(gaps, seconds, strict=True))


async def test_a_push_that_keeps_failing_is_buried_and_the_next_ones_are_not(
    project: Project, receiver: Receiver
) -> None:
    topic, graves = await project.topic(), await project.topic("dead-letter")
    buried = await project.subscription(graves, "graveyard")
    policy = types.DeadLetterPolicy(dead_letter_topic=graves, max_delivery_attempts=5)
    await project.push_subscription(topic, receiver.url(), dead_letter_policy=policy)
    receiver.answer(500, 500, 500, 500, 500)
    await project.publish(topic, b"bad")
    [dead] = await project.pull(buried, within=10)
    assert dead.message.data == b"bad"
    assert dead.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    await project.publish(topic, b"good")
    requests = await receiver.requests(6)
    assert base64.b64decode(requests[5].json["message"]["data"]) == b"good"


async def test_an_ordered_push_subscription_buries_what_keeps_failing(project: Project, receiver: Receiver) -> None:
    topic, graves = await project.topic(), await project.topic("dead-letter")
    buried = await project.subscription(graves, "graveyard")
    policy = types.DeadLetterPolicy(dead_letter_topic=graves, max_delivery_attempts=5)
    await project.push_subscription(topic, receiver.url(), dead_letter_policy=policy, enable_message_ordering=True)
    receiver.answer(500, 500, 500, 500, 500)
    await project.publish(topic, *ordered("bad", "good"))
    await receiver.requests(5)
    assert texts(await project.pull(buried, within=1)) == ["bad"]
    requests = await receiver.requests(6)
    assert base64.b64decode(requests[5].json["message"]["data"]) == b"good"


async def test_a_push_counts_its_attempts_where_there_is_a_dead_letter_policy(
    project: Project, receiver: Receiver
) -> None:
    topic, graves = await project.topic(), await project.topic("dead-letter")
    policy = types.DeadLetterPolicy(dead_letter_topic=graves, max_delivery_attempts=5)
    await project.push_subscription(topic, receiver.url(), dead_letter_policy=policy)
    receiver.answer(500)
    await project.publish(topic, b"x")
    requests = await receiver.requests(2)
    assert [request.json.get("deliveryAttempt") for request in requests] == [1, 2]


async def test_failed_pushes_keep_the_order_of_their_key(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    await project.push_subscription(topic, receiver.url(), enable_message_ordering=True)
    receiver.answer(200, 500)
    await project.publish(topic, *ordered("1", "2", "3"))
    requests = await receiver.requests(4)
    assert [base64.b64decode(request.json["message"]["data"]) for request in requests] == [b"1", b"2", b"2", b"3"]


async def test_a_push_is_signed_for_its_service_account(project: Project, receiver: Receiver, signer: Signer) -> None:
    topic = await project.topic()
    email = "invoker@example.iam.gserviceaccount.com"
    token = types.PushConfig.OidcToken(service_account_email=email, audience="https://audience.example")
    await project.push_subscription(topic, receiver.url("/given"), "given", push={"oidc_token": token})
    token = types.PushConfig.OidcToken(service_account_email=email)
    await project.push_subscription(topic, receiver.url("/default"), "default", push={"oidc_token": token})
    await project.publish(topic, b"x")
    [given] = await receiver.requests(1, path="/given")
    [default] = await receiver.requests(1, path="/default")
    tokens = {given.headers.get("authorization"), default.headers.get("authorization")}
    assert tokens == {"Bearer token-1", "Bearer token-2"}
    assert set(signer.asked) == {(email, "https://audience.example"), (email, receiver.url("/default"))}


async def test_an_unwrapped_push_is_the_data_with_its_metadata_in_headers(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    bare = types.PushConfig.NoWrapper(write_metadata=False)
    await project.push_subscription(topic, receiver.url("/bare"), "bare", push={"no_wrapper": bare})
    full = types.PushConfig.NoWrapper(write_metadata=True)
    subscription = await project.push_subscription(topic, receiver.url("/full"), "full", push={"no_wrapper": full})
    message = types.PubsubMessage(data=b'{"raw":1}', attributes={"color": "red"})
    [message_id] = await project.publish(topic, message)
    [request] = await receiver.requests(1, path="/full")
    assert request.body == b'{"raw":1}'
    assert request.headers["x-goog-pubsub-message-id"] == message_id
    assert request.headers["x-goog-pubsub-subscription-name"] == subscription
    assert datetime.fromisoformat(request.headers["x-goog-pubsub-publish-time"]).tzinfo is not None
    assert request.headers["color"] == "red"
    [request] = await receiver.requests(1, path="/bare")
    assert request.body == b'{"raw":1}'
    assert "x-goog-pubsub-message-id" not in request.headers


async def test_pushes_follow_the_push_config(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    subscription = await project.push_subscription(topic, receiver.url("/old"))
    await project.publish(topic, b"1")
    await receiver.requests(1, path="/old")
    changed = types.PushConfig(push_endpoint=receiver.url("/new"))
    await project.subscriber.modify_push_config(subscription=subscription, push_config=changed, **ONCE)
    await project.publish(topic, b"2")
    await receiver.requests(1, path="/new")
    await project.subscriber.modify_push_config(subscription=subscription, push_config=types.PushConfig(), **ONCE)
    await project.publish(topic, b"3")
    assert texts(await project.pull(subscription)) == ["3"]
    assert [len(receiver.received[path]) for path in ("/old", "/new")] == [1, 1]


async def test_a_deleted_subscription_pushes_no_more(project: Project, receiver: Receiver) -> None:
    topic = await project.topic()
    subscription = await project.push_subscription(topic, receiver.url())
    receiver.answer(then=500)
    await project.publish(topic, b"x")
    await receiver.requests(1)
    await project.subscriber.delete_subscription(subscription=subscription, **ONCE)
    count = len(receiver.received["/"])
    assert not await receiver.reaches(count + 2, within=0.5)
