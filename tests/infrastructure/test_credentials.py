"""Credentials that are missing, broken or refused: an error of ours that says what to do, and nothing of the key."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import google.auth.transport.requests
import grpc
import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from google.auth.transport.grpc import AuthMetadataPlugin
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from common.errors import Misconfigured, Unavailable
from common.infrastructure.calls import call, call_blocking
from common.lifecycle import aclose_all
from tests.infrastructure.clients import CALLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WHAT_TO_DO = "gcloud auth application-default login"


@pytest.fixture(autouse=True)
async def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[None]:
    """A machine without an emulator, a key file, gcloud or a metadata server."""
    for name in [*os.environ]:
        if name.endswith("_EMULATOR_HOST") or name == "GOOGLE_APPLICATION_CREDENTIALS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    yield
    await aclose_all()


@pytest.mark.parametrize("what", sorted(CALLS))
async def test_a_client_without_credentials_says_what_to_do(what: str) -> None:
    with pytest.raises(Misconfigured, match=WHAT_TO_DO) as caught:
        await CALLS[what]()
    assert isinstance(caught.value.__cause__, DefaultCredentialsError)


@pytest.mark.parametrize("what", sorted(CALLS))
async def test_a_key_file_that_is_broken_is_said_to_be_so_without_its_key(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = {"type": "service_account", "private_key": "c4n4ry", "client_email": "a", "token_uri": "https://b.example"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(Misconfigured, match=WHAT_TO_DO) as caught:
        await CALLS[what]()
    assert "c4n4ry" not in str(caught.value)


class Revoked(Credentials):
    """Credentials that Google gives no token for any more."""

    def refresh(self, request: Any) -> None:
        del request
        raise RefreshError("invalid_grant: c4n4ry")  # type: ignore[no-untyped-call]


@pytest.fixture
async def revoked() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server, with such credentials; gRPC lends them to no plain TCP connection."""
    kind = grpc.LocalConnectionType.UDS
    plugin = AuthMetadataPlugin(Revoked(), google.auth.transport.requests.Request())  # type: ignore[no-untyped-call]
    secured = grpc.composite_channel_credentials(
        grpc.local_channel_credentials(kind), grpc.metadata_call_credentials(plugin)
    )
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has at most 107 bytes
        server = grpc.aio.server()
        server.add_secure_port(f"unix:{folder}/s", grpc.local_server_credentials(kind))
        await server.start()
        async with grpc.aio.secure_channel(f"unix:{folder}/s", secured) as channel:
            yield channel
        await server.stop(grace=None)


async def test_a_token_that_is_refused_is_unavailable_and_says_what_to_do(revoked: grpc.aio.Channel) -> None:
    client = SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=revoked))
    with pytest.raises(Unavailable, match=f"asking: ServiceUnavailable, .*{WHAT_TO_DO}") as caught:
        await call("asking", client.access_secret_version, seconds=1, name="projects/p/secrets/s/versions/1")
    assert "c4n4ry" not in str(caught.value)


async def test_a_token_that_is_refused_at_once_is_unavailable_too() -> None:
    async def asynchronous(**_given: Any) -> None:
        raise RefreshError("invalid_grant")  # type: ignore[no-untyped-call]

    def blocking(_seconds: float, _retry: Any) -> None:
        raise RefreshError("invalid_grant")  # type: ignore[no-untyped-call]

    for asked in (call("asking", asynchronous, seconds=1), call_blocking("asking", blocking, seconds=1)):
        with pytest.raises(Unavailable, match=f"asking: RefreshError, .*{WHAT_TO_DO}"):
            await asked
