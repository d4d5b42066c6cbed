"""Real servers for one test: its own database, its own Google project, PhonePe's stand-in, Redis."""

from __future__ import annotations

import asyncio
import json
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import grpc
import psycopg
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from psycopg.rows import dict_row

from tools.local.buckets import wire_buckets
from tools.local.wiring import Wiring
from tools.manifest import build
from tools.sample_data import Checkout, create_customer, payment_state, start_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.pubsub_v1.types import PubsubMessage

    from tools.local.cloud import LocalCloud

TOPICS = tuple(build(Path(__file__).parents[1])[0]["topics"])
"""Every topic that some function publishes to or listens to."""

TEMPLATE = "template_of_tests"


@dataclass(frozen=True)
class Stack:
    """What a test works against.

    Attributes:
        environment: what the functions read.
        admin_url: the test's database, as its owner.
    """

    environment: dict[str, str]
    admin_url: str

    async def checkout(
        self, *, plan: str = "growth", billing_cycle: str = "monthly", again: Checkout | None = None
    ) -> Checkout:
        """A checkout of a new customer, or ``again`` of the same one."""
        from tools.sample_data import Customer

        customer = (
            Customer(again.user_id, again.workspace_id)
            if again
            else await asyncio.to_thread(create_customer, self.admin_url)
        )
        return await start_checkout(self.admin_url, customer, plan=plan, billing_cycle=billing_cycle)

    def state(self, checkout: Checkout) -> dict[str, Any]:
        """See `payment_state`."""
        return payment_state(self.admin_url, checkout)

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Query the test's database as its owner."""
        with psycopg.connect(self.admin_url, row_factory=dict_row, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    async def published(self, topic: str) -> list[PubsubMessage]:
        """Every message on ``topic`` since the last call."""
        name = f"projects/{self.environment['GOOGLE_CLOUD_PROJECT']}/subscriptions/test-{topic}"
        messages: list[PubsubMessage] = []
        async with grpc.aio.insecure_channel(self.environment["PUBSUB_EMULATOR_HOST"]) as channel:
            client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            while True:
                with warnings.catch_warnings():  # deprecated for consumers; a test wants to know what is there now
                    warnings.simplefilter("ignore", DeprecationWarning)
                    answer = await client.pull(
                        request={"subscription": name, "max_messages": 100, "return_immediately": True},
                        timeout=5,
                        retry=None,
                    )
                if not answer.received_messages:
                    return messages
                messages += [item.message for item in answer.received_messages]
                await client.acknowledge(
                    subscription=name, ack_ids=[item.ack_id for item in answer.received_messages], retry=None, timeout=5
                )

    async def make_buckets(self) -> None:
        """Our buckets, empty, with the settings that they have when deployed."""
        await wire_buckets(Wiring.of(self.environment, ""))

    async def make_topics(self) -> None:
        """The topics of the path, each with a subscription that keeps what is published."""
        project = f"projects/{self.environment['GOOGLE_CLOUD_PROJECT']}"
        async with grpc.aio.insecure_channel(self.environment["PUBSUB_EMULATOR_HOST"]) as channel:
            publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
            subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            for topic in TOPICS:
                await publisher.create_topic(name=f"{project}/topics/{topic}", retry=None, timeout=5)
                await subscriber.create_subscription(
                    name=f"{project}/subscriptions/test-{topic}",
                    topic=f"{project}/topics/{topic}",
                    retry=None,
                    timeout=5,
                )


def data_of(message: PubsubMessage) -> dict[str, Any]:
    """A message's JSON."""
    payload: dict[str, Any] = json.loads(message.data)
    return payload


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def make_template(cloud: LocalCloud) -> None:
    """Copy the migrated database once: a template must have no connections, and the original may get some."""
    admin = cloud.admin_database_url()
    with psycopg.connect(with_database(admin, "postgres"), autocommit=True) as connection:
        connection.execute(f'create database "{TEMPLATE}" template "{urlsplit(admin).path[1:]}"')


@contextmanager
def own_database(cloud: LocalCloud, name: str) -> Iterator[str]:
    """A fresh migrated database, dropped afterwards; its owner's URL."""
    admin = cloud.admin_database_url()
    with psycopg.connect(with_database(admin, "postgres"), autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{TEMPLATE}"')
        try:
            yield with_database(admin, name)
        finally:
            connection.execute(f'drop database "{name}" with (force)')
