"""Topics and subscriptions of one server, in memory, and what may be seen of them. No I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from google.pubsub_v1 import types

from common.clock import now
from tools.local.pubsub import rules
from tools.local.pubsub.backlog import Backlog
from tools.local.pubsub.errors import already_exists, not_found
from tools.local.pubsub.filters import compile_filter
from tools.local.pubsub.messages import Message, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tools.local.pubsub.filters import Predicate

DELETED_TOPIC = "_deleted-topic_"
"""The topic of a subscription whose topic was deleted, as the service calls it."""

_PUSH_BACKOFF = (0.1, 60.0)
"""Seconds between attempts of a push without a retry policy, the first and the most."""


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic, and the full names of the subscriptions that get its messages."""

    name: str
    subscriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubscriptionInfo:
    """What is going on in a subscription.

    Attributes:
        name: its full name.
        topic: the full name of its topic; `DELETED_TOPIC` if that is gone.
        push_endpoint: where it pushes to; empty if it is pulled.
        backlog: messages not acknowledged, those with a subscriber included.
        outstanding: messages with a subscriber at this moment.
    """

    name: str
    topic: str
    push_endpoint: str
    backlog: int
    outstanding: int


@dataclass(slots=True)
class Subscription:
    """A subscription: as it was asked for (with defaults), compiled, and its messages."""

    config: types.Subscription
    accepts: Predicate
    backlog: Backlog


class State:
    """All topics and subscriptions. Methods raise `ServiceError` where the service's RPC would fail.

    Example:
        >>> state = State()
        >>> state.topics
        ()
    """

    def __init__(self) -> None:
        self._topics: dict[str, types.Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}
        # not from 1: consumers that keep ids in a database must not meet them again after a restart
        self._message_ids = count(time.time_ns() // 1000)

    @property
    def topics(self) -> tuple[TopicInfo, ...]:
        """Every topic, by name."""
        return tuple(TopicInfo(name, tuple(self.subscribers(name))) for name in sorted(self._topics))

    @property
    def subscriptions(self) -> tuple[SubscriptionInfo, ...]:
        """Every subscription, by name."""
        return tuple(
            SubscriptionInfo(
                name=name,
                topic=subscription.config.topic,
                push_endpoint=subscription.config.push_config.push_endpoint,
                backlog=subscription.backlog.size,
                outstanding=subscription.backlog.outstanding,
            )
            for name, subscription in sorted(self._subscriptions.items())
        )

    def topic(self, name: str) -> types.Topic:
        """The topic of this full name."""
        if name not in self._topics:
            raise not_found(name)
        return self._topics[name]

    def topics_of(self, project: str) -> list[types.Topic]:
        """Those of ``projects/P``, by name."""
        return [topic for name, topic in sorted(self._topics.items()) if name.startswith(f"{project}/")]

    def create_topic(self, topic: types.Topic) -> types.Topic:
        """Add a topic."""
        rules.check_topic(topic)
        if topic.name in self._topics:
            raise already_exists(topic.name)
        self._topics[topic.name] = topic
        return topic

    def update_topic(self, topic: types.Topic, paths: Collection[str]) -> types.Topic:
        """Change the fields named by the mask ``paths``."""
        stored = types.Topic.pb(self.topic(topic.name))
        self._topics[topic.name] = types.Topic.wrap(rules.merge(stored, types.Topic.pb(topic), paths))
        return self._topics[topic.name]

    def delete_topic(self, name: str) -> None:
        """Drop a topic; its subscriptions stay, with what is in them."""
        self.topic(name)
        del self._topics[name]
        for subscription in self._subscriptions.values():
            if subscription.config.topic == name:
                subscription.config.topic = DELETED_TOPIC

    def subscribers(self, topic: str) -> list[str]:
        """The full names of a topic's subscriptions, sorted."""
        return sorted(name for name, each in self._subscriptions.items() if each.config.topic == topic)

    def publish(self, topic: str, messages: Iterable[types.PubsubMessage]) -> list[str]:
        """Give the messages, in order, to every subscription whose filter they pass; their ids."""
        self.topic(topic)
        return [
            self._publish(topic, message.data, dict(message.attributes), message.ordering_key) for message in messages
        ]

    def subscription(self, name: str) -> Subscription:
        """The subscription of this full name."""
        if name not in self._subscriptions:
            raise not_found(name)
        return self._subscriptions[name]

    def subscriptions_of(self, project: str) -> list[types.Subscription]:
        """Those of ``projects/P``, by name."""
        named = sorted(self._subscriptions.items())
        return [subscription.config for name, subscription in named if name.startswith(f"{project}/")]

    def create_subscription(self, wanted: types.Subscription) -> Subscription:
        """Add a subscription; it gets what is published from now on."""
        rules.check_name(wanted.name, "subscriptions")
        rules.check_name(wanted.topic, "topics")
        if wanted.name in self._subscriptions:
            raise already_exists(wanted.name)
        config = rules.complete(wanted)
        self._check_topics(config)
        backlog = Backlog(_policy(config), bury=partial(self._bury, config.name))
        subscription = Subscription(config, compile_filter(config.filter), backlog)
        self._subscriptions[config.name] = subscription
        return subscription

    def update_subscription(self, wanted: types.Subscription, paths: Collection[str]) -> Subscription:
        """Change the fields named by the mask ``paths``; all of them or none."""
        subscription = self.subscription(wanted.name)
        stored, update = (types.Subscription.pb(each) for each in (subscription.config, wanted))
        config = rules.complete(types.Subscription.wrap(rules.merge(stored, update, paths)))
        if "dead_letter_policy" in paths:
            self._check_dead_letter_topic(config)
        subscription.config = config
        subscription.backlog.policy = _policy(config)
        subscription.backlog.wake()
        return subscription

    def delete_subscription(self, name: str) -> Subscription:
        """Drop a subscription and its messages; whoever waits for one is sent away."""
        subscription = self.subscription(name)
        del self._subscriptions[name]
        subscription.backlog.close()
        return subscription

    def _check_topics(self, config: types.Subscription) -> None:
        self.topic(config.topic)
        self._check_dead_letter_topic(config)

    def _check_dead_letter_topic(self, config: types.Subscription) -> None:
        if config.dead_letter_policy.dead_letter_topic:
            self.topic(config.dead_letter_policy.dead_letter_topic)

    def _publish(self, topic: str, data: bytes, attributes: dict[str, str], ordering_key: str) -> str:
        moment = now()
        message = Message(
            id=str(next(self._message_ids)),
            data=data,
            attributes=attributes,
            ordering_key=ordering_key,
            publish_time=moment.replace(microsecond=moment.microsecond // 1000 * 1000),
        )
        for subscription in self._subscriptions.values():
            if subscription.config.topic == topic and subscription.accepts(attributes):
                subscription.backlog.add(message)
        return message.id

    def _bury(self, name: str, message: Message, attempts: int) -> bool:
        """Forward to the dead-letter topic; without one the message goes on being tried, as in the service."""
        topic = self.subscription(name).config.dead_letter_policy.dead_letter_topic
        if topic not in self._topics:
            return False
        _projects, project, _subscriptions, short = name.split("/")
        source = {
            "CloudPubSubDeadLetterSourceDeliveryCount": str(attempts),
            "CloudPubSubDeadLetterSourceSubscription": short,
            "CloudPubSubDeadLetterSourceSubscriptionProject": project,
            "CloudPubSubDeadLetterSourceTopicPublishTime": message.published,
        }
        self._publish(topic, message.data, {**message.attributes, **source}, message.ordering_key)
        return True


def _policy(config: types.Subscription) -> Policy:
    minimum, maximum = _PUSH_BACKOFF if config.push_config.push_endpoint else (0.0, 0.0)
    if "retry_policy" in config:
        minimum = config.retry_policy.minimum_backoff.total_seconds()
        maximum = config.retry_policy.maximum_backoff.total_seconds()
    dead_letter = config.dead_letter_policy
    return Policy(
        ack_deadline=config.ack_deadline_seconds,
        minimum_backoff=minimum,
        maximum_backoff=maximum,
        max_attempts=dead_letter.max_delivery_attempts if dead_letter.dead_letter_topic else None,
        ordered=config.enable_message_ordering,
        exactly_once=config.enable_exactly_once_delivery,
        retention=config.message_retention_duration if config.retain_acked_messages else None,
    )
