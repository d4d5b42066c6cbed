"""Subscriptions follow the manifest: new, changed and removed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

from tools.local.environment import INVOKER
from tools.local.wiring import Wiring, wire
from tools.manifest_model import load

if TYPE_CHECKING:
    from google.pubsub_v1.types import Subscription

    from tests.stack import Stack
    from tools.manifest_model import Manifest

MANIFEST = load(Path(__file__).parents[3] / "functions.json")
NAME = "event-on-phonepe-event"


@pytest.fixture
def wiring(stack: Stack) -> Wiring:
    return Wiring.of(stack.environment, "http://127.0.0.1:1")


def only(*names: str, **trigger: Any) -> Manifest:
    """The manifest of some functions, whose triggers are changed."""
    found = {name: MANIFEST.functions[name] for name in names}
    changed = {name: replace(one, trigger=replace(one.trigger, **trigger)) for name, one in found.items()}
    return replace(MANIFEST, functions=changed)


async def subscription(wiring: Wiring) -> Subscription:
    async with grpc.aio.insecure_channel(wiring.host) as channel:
        client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
        return await client.get_subscription(subscription=wiring.subscription(NAME), retry=None, timeout=5)


async def test_every_handler_has_its_subscription_and_what_is_gone_is_removed(wiring: Wiring) -> None:
    everything = await wire(MANIFEST, wiring)
    expected = sorted(name for name, function in MANIFEST.functions.items() if function.trigger.kind == "pubsub")
    assert [name.rpartition("/")[2] for name in everything] == expected
    assert await wire(only(NAME), wiring) == [wiring.subscription(NAME)]
    assert await wire(MANIFEST, wiring) == everything


async def test_a_subscription_is_what_terraform_would_make_of_the_manifest(wiring: Wiring) -> None:
    await wire(MANIFEST, wiring)
    made, function = await subscription(wiring), MANIFEST.functions[NAME]
    assert made.topic == wiring.topic("webhook-phonepe")
    assert made.push_config.push_endpoint == f"http://127.0.0.1:1/{NAME}"
    assert made.push_config.oidc_token.service_account_email == INVOKER
    assert made.ack_deadline_seconds == function.timeout + 10
    assert made.dead_letter_policy.dead_letter_topic == wiring.topic("dead-letter")
    assert made.dead_letter_policy.max_delivery_attempts == 30


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"topic": "payment-completed"}, "topic", "payment-completed"),
        ({"filter": 'hasPrefix(attributes.kind, "a")'}, "filter", "hasPrefix"),
        ({"ordered": True}, "enable_message_ordering", "True"),
    ],
)
async def test_what_cannot_be_updated_is_made_again(
    wiring: Wiring, change: dict[str, Any], field: str, expected: str
) -> None:
    await wire(MANIFEST, wiring)
    await wire(only(NAME, **change), wiring)
    assert expected in str(getattr(await subscription(wiring), field))
