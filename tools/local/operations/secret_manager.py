"""``google.cloud.secretmanager.v1``: secrets and their versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import google_crc32c
import grpc
from google.cloud.secretmanager_v1 import types

from common import clock
from tools.local.rpc import ServiceError, invalid, page, unary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.local.rpc import Context

MAX_BYTES = 65_536
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_State = types.SecretVersion.State
_ENABLED, _DISABLED, _DESTROYED = _State(_State.ENABLED), _State(_State.DISABLED), _State(_State.DESTROYED)


class SecretManager:
    """Answers the RPCs."""

    NAME = "google.cloud.secretmanager.v1.SecretManagerService"

    def __init__(self) -> None:
        self._secrets: dict[str, types.Secret] = {}
        self._versions: dict[str, list[tuple[types.SecretVersion, bytes]]] = {}

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """By name."""
        version = types.SecretVersion
        return {
            "CreateSecret": unary(types.CreateSecretRequest, types.Secret, self.create),
            "GetSecret": unary(types.GetSecretRequest, types.Secret, self.get),
            "ListSecrets": unary(types.ListSecretsRequest, types.ListSecretsResponse, self.list),
            "DeleteSecret": unary(types.DeleteSecretRequest, None, self.delete),
            "AddSecretVersion": unary(types.AddSecretVersionRequest, version, self.add),
            "AccessSecretVersion": unary(
                types.AccessSecretVersionRequest, types.AccessSecretVersionResponse, self.access
            ),
            "DisableSecretVersion": unary(types.DisableSecretVersionRequest, version, self.disable),
            "EnableSecretVersion": unary(types.EnableSecretVersionRequest, version, self.enable),
            "DestroySecretVersion": unary(types.DestroySecretVersionRequest, version, self.destroy),
        }

    async def create(self, request: types.CreateSecretRequest, _: Context) -> types.Secret:
        """Make a secret without a value."""
        if not _NAME.fullmatch(request.secret_id):
            raise invalid(f"Invalid secret id {request.secret_id!r}")
        if "replication" not in request.secret:
            raise invalid("The replication policy is required.")
        name = f"{request.parent}/secrets/{request.secret_id}"
        if name in self._secrets:
            raise ServiceError(grpc.StatusCode.ALREADY_EXISTS, f"Secret [{name}] already exists.")
        secret = types.Secret(request.secret)
        secret.name, secret.create_time = name, clock.now()
        self._secrets[name], self._versions[name] = secret, []
        return secret

    async def get(self, request: types.GetSecretRequest, _: Context) -> types.Secret:
        """A secret's settings."""
        return self._secret(request.name)

    async def list(self, request: types.ListSecretsRequest, _: Context) -> types.ListSecretsResponse:
        """Secrets of a project, page by page."""
        names = sorted(name for name in self._secrets if name.startswith(f"{request.parent}/"))
        found, token = page([self._secrets[name] for name in names], names, request.page_size, request.page_token)
        return types.ListSecretsResponse(secrets=found, next_page_token=token, total_size=len(names))

    async def delete(self, request: types.DeleteSecretRequest, _: Context) -> None:
        """Delete a secret with its versions."""
        name = self._secret(request.name).name
        del self._secrets[name], self._versions[name]

    async def add(self, request: types.AddSecretVersionRequest, _: Context) -> types.SecretVersion:
        """Add a value."""
        self._secret(request.parent)
        data = request.payload.data
        if not 1 <= len(data) <= MAX_BYTES:
            raise invalid(f"The payload has 1 to {MAX_BYTES} bytes.")
        if "data_crc32c" in request.payload and request.payload.data_crc32c != google_crc32c.value(data):
            raise invalid("The data crc32c checksum does not match.")
        versions = self._versions[request.parent]
        name = f"{request.parent}/versions/{len(versions) + 1}"
        version = types.SecretVersion(name=name, state=_ENABLED, create_time=clock.now())
        versions.append((version, data))
        return version

    async def access(self, request: types.AccessSecretVersionRequest, _: Context) -> types.AccessSecretVersionResponse:
        """Read a value."""
        version, data = self._version(request.name)
        if version.state != _ENABLED:
            state = _State(version.state).name
            raise ServiceError(
                grpc.StatusCode.FAILED_PRECONDITION, f"Secret Version [{version.name}] is in {state} state."
            )
        payload = types.SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        return types.AccessSecretVersionResponse(name=version.name, payload=payload)

    async def disable(self, request: types.DisableSecretVersionRequest, _: Context) -> types.SecretVersion:
        """Let a version not be read."""
        return self._turn(request.name, _DISABLED)

    async def enable(self, request: types.EnableSecretVersionRequest, _: Context) -> types.SecretVersion:
        """Let a version be read again."""
        return self._turn(request.name, _ENABLED)

    async def destroy(self, request: types.DestroySecretVersionRequest, _: Context) -> types.SecretVersion:
        """Forget a value for good."""
        version, _data = self._version(request.name)
        versions = self._versions[version.name.rpartition("/versions/")[0]]
        versions[int(version.name.rpartition("/")[2]) - 1] = (version, b"")
        return self._turn(request.name, _DESTROYED)

    def _turn(self, name: str, state: types.SecretVersion.State) -> types.SecretVersion:
        version, _ = self._version(name)
        if version.state == _DESTROYED and state != _DESTROYED:
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, f"Secret Version [{name}] is destroyed.")
        version.state = state
        return version

    def _secret(self, name: str) -> types.Secret:
        if name not in self._secrets:
            raise ServiceError(grpc.StatusCode.NOT_FOUND, f"Secret [{name}] not found.")
        return self._secrets[name]

    def _version(self, name: str) -> tuple[types.SecretVersion, bytes]:
        secret, _, number = name.rpartition("/versions/")
        versions = self._versions.get(secret, [])
        if number == "latest":  # the newest, unless it is destroyed: not the newest that is enabled
            alive = [found for found in versions if found[0].state != _DESTROYED]
            versions, number = alive[-1:], "1"
        if not number.isdecimal() or not 1 <= int(number) <= len(versions):
            raise ServiceError(grpc.StatusCode.NOT_FOUND, f"Secret Version [{name}] not found.")
        return versions[int(number) - 1]
