"""Publishing, with Google's own client library, to a real server or to none."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import google.auth
import grpc.aio
import pytest
from google.api_core import grpc_helpers_async
from google.auth.credentials import AnonymousCredentials
from google.pubsub_v1 import PublisherAsyncClient

from common.errors import InvalidInput, Misconfigured, Unavailable
from common.infrastructure.endpoints import emulator
from common.infrastructure.errors import NotFound
from common.infrastructure.gcp import GCPClient
from common.infrastructure.pubsub_publisher import PubSubPublisher, pubsub_publisher

if TYPE_CHECKING:
    from tests.stack import Stack


async def test_a_message_arrives_with_its_attributes(stack: Stack) -> None:
    identity = await pubsub_publisher().publish("payment-completed", b"{}", attributes={"ce-id": "1"})
    (message,) = await stack.published("payment-completed")
    assert (message.message_id, message.data, dict(message.attributes)) == (identity, b"{}", {"ce-id": "1"})


async def test_one_client_serves_concurrent_publishes(stack: Stack) -> None:
    identities = await asyncio.gather(*(pubsub_publisher().publish("payment-completed", b"%d" % n) for n in range(50)))
    assert len(set(identities)) == 50
    assert len(await stack.published("payment-completed")) == 50


async def test_an_unknown_topic_is_not_found(stack: Stack) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await pubsub_publisher().publish("nowhere", b"{}")


async def test_a_dead_server_is_unavailable_long_before_the_library_gives_up(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="publishing to payment-completed"):
        await pubsub_publisher().publish("payment-completed", b"{}")
    assert time.monotonic() - started < 10  # two seconds and what a slow machine takes; the library tries for 60


@pytest.mark.parametrize(
    ("message", "attributes"),
    [
        (b"", {}),
        (b"x" * 10_000_001, {}),
        (b"x", {"": "v"}),
        (b"x", {"k" * 257: "v"}),
        (b"x", {"k": "é" * 513}),
        (b"x", {str(number): "v" for number in range(101)}),
    ],
)
async def test_what_the_service_would_refuse_is_refused_before(
    stack: Stack, message: bytes, attributes: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput):
        await pubsub_publisher().publish("payment-completed", message, attributes=attributes)


def test_an_emulator_is_refused_on_a_deployed_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")
    assert emulator("PUBSUB_EMULATOR_HOST") == "127.0.0.1:8085"
    monkeypatch.setenv("K_SERVICE", "webhook-phonepe")
    with pytest.raises(Misconfigured, match="PUBSUB_EMULATOR_HOST"):
        emulator("PUBSUB_EMULATOR_HOST")


def test_project_and_region_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.delenv("GOOGLE_CLOUD_REGION", raising=False)
    assert GCPClient().get_region() == "asia-south1"
    with pytest.raises(Misconfigured, match="GOOGLE_CLOUD_PROJECT"):
        GCPClient().get_project_id()
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    assert GCPClient().get_project_id() == "p"


async def test_where_there_is_no_emulator_it_opens_what_the_generated_client_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[tuple[str, dict[str, Any]]] = []

    def channel(target: str, **options: Any) -> grpc.aio.Channel:
        opened.append((target, options))
        return grpc.aio.insecure_channel("127.0.0.1:1")

    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # the library's
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setattr(grpc_helpers_async, "create_channel", channel)
    monkeypatch.setattr(google.auth, "default", lambda **_: (credentials, None))
    theirs = PublisherAsyncClient(credentials=credentials)
    ours = PubSubPublisher()
    with pytest.raises(Unavailable):
        await ours.publish("t", b"x")
    await ours.aclose()
    await theirs.transport.close()  # type: ignore[no-untyped-call] # the library's
    (their_target, their_options), (target, options) = opened
    assert target == their_target == "pubsub.googleapis.com:443"
    assert set(options["options"]) <= set(their_options["options"])
    for name in ("default_scopes", "default_host", "quota_project_id"):
        assert options.get(name) == their_options.get(name)
