"""What Terraform does when deployed: topics, and a push subscription for every handler, from the manifest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, RetryPolicy, Subscription, UpdateSubscriptionRequest

from common.functions.resources import DEAD_LETTER_TOPIC, MAX_DELIVERY_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.manifest_model import Function, Manifest

ACK_MARGIN_SECONDS = 10
"""An ack deadline is the push request's time-out: a little longer than the function may take."""


@dataclass(frozen=True)
class Wiring:
    """Where the pushes go, and how patiently.

    Attributes:
        host: the local Pub/Sub's ``host:port``.
        project: the Google Cloud project.
        base_url: the gateway's URL; a function answers at ``<base_url>/<name>``.
        invoker: the identity that pushes and tasks are signed for.
        tasks_host: the local Cloud Tasks' ``host:port``.
        storage_url: of the local Cloud Storage.
        minimum_backoff: before the first redelivery; deployed 10 s, locally nobody wants to wait that long.
        maximum_backoff: between later ones; deployed 600 s.
        attempts: before a message becomes a dead letter.
    """

    host: str
    project: str
    base_url: str
    invoker: str
    tasks_host: str = ""
    storage_url: str = ""
    minimum_backoff: timedelta = timedelta(milliseconds=500)
    maximum_backoff: timedelta = timedelta(seconds=10)
    attempts: int = MAX_DELIVERY_ATTEMPTS

    @classmethod
    def of(cls, environment: Mapping[str, str], base_url: str, **patience: Any) -> Wiring:
        """Of the local cloud whose addresses stand in ``environment``; ``patience`` is back-off and attempts."""
        return cls(
            host=environment["PUBSUB_EMULATOR_HOST"],
            project=environment["GOOGLE_CLOUD_PROJECT"],
            base_url=base_url,
            invoker=environment["INVOKER_EMAIL"],
            tasks_host=environment["CLOUD_TASKS_EMULATOR_HOST"],
            storage_url=environment["STORAGE_EMULATOR_HOST"],
            **patience,
        )

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return f"projects/{self.project}/topics/{name}"

    def subscription(self, name: str) -> str:
        """The full name of a subscription; it is called like its function."""
        return f"projects/{self.project}/subscriptions/{name}"


async def wire(manifest: Manifest, wiring: Wiring) -> list[str]:
    """Make the local Pub/Sub what the manifest says; the names of the subscriptions.

    Safe to repeat: what exists is brought up to date, and the subscription of a function that is gone is deleted. One
    whose topic, filter or ordering has changed is made again, as Terraform does, for these cannot be updated.
    """
    async with grpc.aio.insecure_channel(wiring.host) as channel:
        publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        topics = {*manifest.topics, DEAD_LETTER_TOPIC}
        await asyncio.gather(*(_create_topic(publisher, wiring.topic(name)) for name in topics))
        wanted = {
            wiring.subscription(name): _subscription(name, function, wiring)
            for name, function in manifest.functions.items()
            if function.trigger.kind == "pubsub"
        }
        for existing in await _existing(subscriber, wiring.project):
            if existing.name not in wanted or _fixed(existing) != _fixed(wanted[existing.name]):
                await subscriber.delete_subscription(subscription=existing.name)
        await asyncio.gather(*(_create_or_update(subscriber, subscription) for subscription in wanted.values()))
    return sorted(wanted)


def _subscription(name: str, function: Function, wiring: Wiring) -> Subscription:
    url = f"{wiring.base_url}/{name}"
    fields: Mapping[str, Any] = {
        "name": wiring.subscription(name),
        "topic": wiring.topic(function.trigger.topic or ""),
        "ack_deadline_seconds": min(600, int(function.timeout) + ACK_MARGIN_SECONDS),
        "enable_message_ordering": function.trigger.ordered,
        "filter": function.trigger.filter or "",
        "push_config": PushConfig(
            push_endpoint=url,
            oidc_token=PushConfig.OidcToken(service_account_email=wiring.invoker, audience=url),
        ),
        "retry_policy": RetryPolicy(minimum_backoff=wiring.minimum_backoff, maximum_backoff=wiring.maximum_backoff),
    }
    subscription = Subscription(**fields)
    if function.trigger.dead_letter:
        subscription.dead_letter_policy = DeadLetterPolicy(
            dead_letter_topic=wiring.topic(DEAD_LETTER_TOPIC), max_delivery_attempts=wiring.attempts
        )
    return subscription


async def _create_topic(publisher: PublisherAsyncClient, name: str) -> None:
    try:
        await publisher.create_topic(name=name, retry=None, timeout=10)
    except AlreadyExists:
        return


async def _existing(subscriber: SubscriberAsyncClient, project: str) -> list[Subscription]:
    pager = await subscriber.list_subscriptions(project=f"projects/{project}", retry=None, timeout=10)
    return [subscription async for subscription in pager if subscription.push_config.push_endpoint]


def _fixed(subscription: Subscription) -> tuple[str, str, bool]:
    return subscription.topic, subscription.filter, subscription.enable_message_ordering


async def _create_or_update(subscriber: SubscriberAsyncClient, subscription: Subscription) -> None:
    try:
        await subscriber.create_subscription(request=subscription, retry=None, timeout=10)
    except AlreadyExists:
        changing = ["ack_deadline_seconds", "push_config", "retry_policy", "dead_letter_policy"]
        await subscriber.update_subscription(
            request=UpdateSubscriptionRequest(subscription=subscription, update_mask={"paths": changing}),
            retry=None,
            timeout=10,
        )
