"""Secrets at run time, on the real library: cached, shared, rotated, never shown."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient, types
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from common.config.redaction import scrub
from common.errors import InvalidInput, Unavailable
from common.functions import deadline
from common.infrastructure import secrets as module
from common.infrastructure.errors import NotFound
from common.infrastructure.secrets import SecretsManager, secrets_manager
from common.lifecycle import aclose_all
from tools.gateway_process import free_port
from tools.local.operations.server import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack

CANARY = "c4n4ry-of-tests"


@pytest.fixture
async def service(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A local Secret Manager of the test's own; its address."""
    del stack
    port = free_port(0)
    server = await start(port)
    monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", f"127.0.0.1:{port}")
    yield f"127.0.0.1:{port}"
    await aclose_all()
    await server.stop(grace=None)


@pytest.fixture
async def manager(service: str) -> SecretsManager:
    del service
    return secrets_manager()


@pytest.fixture
async def library(service: str) -> AsyncIterator[SecretManagerServiceAsyncClient]:
    """Google's client."""
    async with grpc.aio.insecure_channel(service) as channel:
        yield SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel))


def parent() -> str:
    return f"projects/{os.environ['GOOGLE_CLOUD_PROJECT']}/secrets/token"


async def test_what_is_set_is_read_and_a_new_version_replaces_it(manager: SecretsManager) -> None:
    await manager.set_secret("token", "one")
    assert await manager.get_secret("token") == "one"
    await manager.set_secret("token", "two")
    assert await manager.get_secret("token") == "two"


async def test_several_live_values_while_it_is_rotated(manager: SecretsManager) -> None:
    await manager.set_secret("token", "new\n\n old \n")
    assert await manager.get_values("token") == ("new", "old")
    assert await manager.get_secret("token") == "new"


async def test_a_deployed_secret_asks_nobody(manager: SecretsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setenv("TOKEN", "deployed")
    assert await manager.get_secret("token") == "deployed"


async def test_it_is_asked_once_for_all_and_again_when_it_is_no_longer_fresh(
    manager: SecretsManager, library: SecretManagerServiceAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await manager.set_secret("token", "one")
    reads = 0
    read = SecretsManager._read

    async def counted(self: SecretsManager, name: str) -> str:
        nonlocal reads
        reads += 1
        return await read(self, name)

    monkeypatch.setattr(SecretsManager, "_read", counted)
    assert set(await asyncio.gather(*(manager.get_secret("token") for _ in range(20)))) == {"one"}
    assert reads == 1
    await library.add_secret_version(parent=parent(), payload=types.SecretPayload(data=b"two"))
    assert await manager.get_secret("token") == "one"
    manager._known["token"].ask_at = 0
    assert await manager.get_secret("token") == "two"
    assert reads == 2


class Held:
    """Holds Secret Manager's answers to reads back until `let_go`."""

    def __init__(self, client: SecretManagerServiceAsyncClient) -> None:
        self._read = client.access_secret_version
        self.answered, self.let_go = asyncio.Event(), asyncio.Event()

    async def access_secret_version(self, **given: Any) -> types.AccessSecretVersionResponse:
        answer = await self._read(**given)
        self.answered.set()
        await self.let_go.wait()
        return answer


@pytest.fixture
def held(manager: SecretsManager, monkeypatch: pytest.MonkeyPatch) -> Held:
    made = Held(manager._secrets())
    monkeypatch.setattr(manager._secrets(), "access_secret_version", made.access_secret_version)
    return made


async def test_who_gives_up_takes_the_answer_from_nobody(manager: SecretsManager, held: Held) -> None:
    await manager.set_secret("token", "one")
    impatient = asyncio.create_task(manager.get_secret("token"))
    patient = asyncio.create_task(manager.get_secret("token"))
    await held.answered.wait()
    impatient.cancel()
    held.let_go.set()
    assert await patient == "one"


async def test_who_has_little_time_left_takes_the_answer_from_nobody(manager: SecretsManager, held: Held) -> None:
    async def within(seconds: float) -> str:
        async with deadline.within(seconds):
            return await manager.get_secret("token")

    await manager.set_secret("token", "one")
    late, early = asyncio.create_task(within(0.1)), asyncio.create_task(within(3))
    with pytest.raises(deadline.DeadlineExceeded):
        await late
    held.let_go.set()
    assert await early == "one"


async def test_what_is_set_while_a_read_is_under_way_is_what_is_read(manager: SecretsManager, held: Held) -> None:
    await manager.set_secret("token", "old")
    before = asyncio.create_task(manager.get_secret("token"))
    await held.answered.wait()
    await manager.set_secret("token", "new")
    after = asyncio.create_task(manager.get_secret("token"))
    await asyncio.sleep(0)  # it has joined the read by now
    held.let_go.set()
    assert set(await asyncio.gather(before, after)) == {"new"}
    assert await manager.get_secret("token") == "new"


async def test_a_read_that_fails_does_not_bring_back_what_was_before(
    manager: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    await manager.set_secret("token", "old")
    await manager.get_secret("token")
    manager._known["token"].ask_at = 0

    async def down(self: SecretsManager, name: str) -> str:
        await self.set_secret(name, "new")
        raise Unavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr(SecretsManager, "_read", down)
        with pytest.raises(Unavailable):
            await manager.get_secret("token")
    assert await manager.get_secret("token") == "new"


async def test_what_was_set_is_read_though_latest_lags_behind(
    manager: SecretsManager, library: SecretManagerServiceAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await manager.set_secret("token", "old")
    await manager.set_secret("token", "new")
    read = manager._secrets().access_secret_version

    async def lagging(*, name: str, **given: Any) -> types.AccessSecretVersionResponse:
        return await read(name=name.replace("latest", "1"), **given)

    monkeypatch.setattr(manager._secrets(), "access_secret_version", lagging)
    for _ in range(2):
        assert await manager.get_secret("token") == "new"
        manager._known["token"].ask_at = 0
    await library.disable_secret_version(name=f"{parent()}/versions/2")
    with pytest.raises(NotFound, match="not enabled"):
        await manager.get_secret("token")


@pytest.mark.parametrize("by", ["us", "others"])
async def test_a_secret_that_is_deleted_and_made_again_is_read_again(
    manager: SecretsManager, library: SecretManagerServiceAsyncClient, by: str
) -> None:
    for value in ("one", "two"):
        await manager.set_secret("token", value)
    await library.delete_secret(name=parent())
    maker = manager if by == "us" else SecretsManager()
    await maker.set_secret("token", "three")
    assert await manager.get_secret("token") == "three"
    if maker is not manager:
        await maker.aclose()


async def test_what_was_read_is_told_by_no_line(manager: SecretsManager) -> None:
    await manager.set_secret("token", "r3ad-while-running\nr3ad-before")
    await manager.get_secret("token")
    assert scrub("it is r3ad-while-running, was r3ad-before") == "it is [redacted], was [redacted]"


async def test_a_newest_version_that_is_off_or_no_text_is_said_so(
    manager: SecretsManager, library: SecretManagerServiceAsyncClient
) -> None:
    await manager.set_secret("token", "one")
    await library.disable_secret_version(name=f"{parent()}/versions/1")
    with pytest.raises(NotFound, match="not enabled"):
        await manager.get_secret("token")
    await library.add_secret_version(parent=parent(), payload=types.SecretPayload(data=b"\xff\xfe"))
    with pytest.raises(NotFound, match="no text") as caught:
        await manager.get_secret("token")
    assert caught.value.__cause__ is None


async def test_an_old_value_serves_while_secret_manager_is_down(
    manager: SecretsManager, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await manager.set_secret("token", CANARY)
    assert await manager.get_secret("token") == CANARY

    asked = 0

    async def down(_self: SecretsManager, _name: str) -> str:
        nonlocal asked
        asked += 1
        raise Unavailable("down")

    manager._known["token"].ask_at = 0
    monkeypatch.setattr(SecretsManager, "_read", down)
    with caplog.at_level(logging.WARNING):
        assert [await manager.get_secret("token") for _ in range(3)] == [CANARY] * 3
    assert asked == 1, "who is down is not asked by everybody, each waiting"
    assert "cannot be read again" in caplog.text
    assert CANARY not in caplog.text + repr(manager) + repr(manager._known)
    monkeypatch.setattr(module, "STALE_SECONDS", 0.0)
    with pytest.raises(Unavailable):
        await manager.get_secret("token")


async def test_what_is_not_there_is_said_so(manager: SecretsManager) -> None:
    with pytest.raises(NotFound):
        await manager.get_secret("token")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 256])
async def test_a_name_that_cannot_be_is_refused(manager: SecretsManager, name: str) -> None:
    with pytest.raises(InvalidInput):
        await manager.get_secret(name)
    with pytest.raises(InvalidInput):
        await manager.set_secret(name, "x")


@pytest.mark.parametrize("value", ["", " \n ", "x" * 65_537])
async def test_a_value_that_cannot_be_is_refused(manager: SecretsManager, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await manager.set_secret("token", value)
    assert value.strip() not in str(caught.value) or not value.strip()


# --- the contract of the local service


async def test_versions_are_numbered_disabled_enabled_and_destroyed(
    manager: SecretsManager, library: SecretManagerServiceAsyncClient
) -> None:
    await manager.set_secret("token", "one")
    await manager.set_secret("token", "two")
    latest, first = f"{parent()}/versions/latest", f"{parent()}/versions/1"
    assert (await library.access_secret_version(name=first)).payload.data == b"one"
    assert (await library.access_secret_version(name=latest)).name == f"{parent()}/versions/2"
    await library.disable_secret_version(name=f"{parent()}/versions/2")
    with pytest.raises(Exception, match="DISABLED"):  # latest is the newest, enabled or not, as Google's is
        await library.access_secret_version(name=latest)
    await library.enable_secret_version(name=f"{parent()}/versions/2")
    await library.destroy_secret_version(name=f"{parent()}/versions/2")
    assert (await library.access_secret_version(name=latest)).payload.data == b"one"
    with pytest.raises(Exception, match="destroyed"):
        await library.enable_secret_version(name=f"{parent()}/versions/2")


async def test_a_damaged_value_a_taken_name_and_a_missing_secret_are_refused(
    manager: SecretsManager, library: SecretManagerServiceAsyncClient
) -> None:
    await manager.set_secret("token", "one")
    with pytest.raises(Exception, match="checksum"):
        await library.add_secret_version(parent=parent(), payload=types.SecretPayload(data=b"x", data_crc32c=1))
    with pytest.raises(Exception, match="already exists"):
        await library.create_secret(
            parent=parent().rpartition("/secrets/")[0],
            secret_id="token",
            secret=types.Secret(replication={"automatic": {}}),
        )
    await library.delete_secret(name=parent())
    with pytest.raises(Exception, match="not found"):
        await library.access_secret_version(name=f"{parent()}/versions/1")
    listed = [secret async for secret in await library.list_secrets(parent=parent().rpartition("/secrets/")[0])]
    assert listed == []
