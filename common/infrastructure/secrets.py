"""Secrets that are read or written while running (R34), in Secret Manager.

What a function always needs is deployed as an environment variable, pinned to a version, and read with
`common.config.secrets.secret_values`; this is for the rest. `SecretsManager` looks at the environment first, so that
code need not know which of the two a secret is. A value may hold several live values, one per line, newest first, while
it is being rotated.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.config.redaction import hide
from common.config.secrets import MAX_VALUES, secret_values
from common.errors import InvalidInput, Unavailable
from common.functions.deadline import unbounded
from common.infrastructure.calls import call
from common.infrastructure.endpoints import open_client
from common.infrastructure.errors import AlreadyExists, NotFound
from common.infrastructure.gcp import GCPClient
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient

log = logging.getLogger(__name__)

CALL_SECONDS = 5.0
FRESH_SECONDS = 300.0
"""How long a value is used without asking again: so long a rotated one lives on."""
STALE_SECONDS = 3600.0
"""How old a value may be where Secret Manager cannot be asked."""
AGAIN_SECONDS = 30.0
"""After a read that failed, until the next: meanwhile an old value costs no wait."""
MAX_BYTES = 65_536
"""Of one value; Secret Manager's limit."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


@dataclass(slots=True)
class _Known:
    """A value that was read; never shown."""

    value: str = field(repr=False)
    read_at: float
    ask_at: float


class SecretsManager:
    """Secrets of the project; one per process and event loop, see `secrets_manager`.

    Example:
        >>> token = await secrets_manager().get_secret("slack-webhook-url")
    """

    def __init__(self) -> None:
        self._project = GCPClient().get_project_id()
        self._client: SecretManagerServiceAsyncClient | None = None
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Task[str]] = {}
        self._written: dict[str, int] = {}
        """The newest version that this process has added; no older one is given out."""

    def __repr__(self) -> str:
        """Without the values."""
        return f"SecretsManager({len(self._known)} secrets read)"

    async def get_secret(self, secret_id: str) -> str:
        """The newest value, at most `FRESH_SECONDS` old; who asks at the same time shares one call.

        Raises:
            InvalidInput: this cannot be a secret's name.
            NotFound: there is no such secret, or its newest version is not enabled, or no text.
            PermissionDenied: our service account may not read it.
            Unavailable: it was never read, or an hour ago, and cannot be now.
        """
        return (await self.get_values(secret_id))[0]

    async def get_values(self, secret_id: str) -> tuple[str, ...]:
        """All live values of a secret that is being rotated, newest first; see `get_secret`."""
        name = _checked(secret_id)
        if deployed := secret_values(name):
            return deployed
        values = tuple(line for line in map(str.strip, (await self._value(name)).splitlines()) if line)[:MAX_VALUES]
        if not values:
            raise NotFound(f"the secret {name} is empty")
        return values

    async def set_secret(self, secret_id: str, value: str) -> None:
        """Add a version, and make the secret if there is none.

        From now on this process reads this value or a newer one, others do within `FRESH_SECONDS` of Secret Manager's
        ``latest``, which may lag behind.

        Raises:
            InvalidInput: the name cannot be, or the value is empty or has more than 64 KiB.
            PermissionDenied: our service account may not.
            Unavailable: it was not stored, as far as we know; doing it again adds another version.
        """
        name = _checked(secret_id)
        data = value.encode()
        if not value.strip() or len(data) > MAX_BYTES:
            raise InvalidInput(f"a secret's value has 1 to {MAX_BYTES} bytes")
        try:
            added = await self._add(name, data)
        except NotFound:
            await self._create(name)
            self._written.pop(name, None)  # of one that was deleted; numbers begin anew
            added = await self._add(name, data)
        self._written[name] = max(added, self._written.get(name, 0))
        self._known.pop(name, None)

    async def aclose(self) -> None:
        """Close the connection and forget the values."""
        self._known.clear()
        if self._client is not None:
            await self._client.transport.close()  # type: ignore[no-untyped-call] # the library's

    async def _value(self, name: str) -> str:
        known = self._known.get(name)
        now = time.monotonic()
        age = now - known.read_at if known else STALE_SECONDS
        if known and age < STALE_SECONDS and now < known.ask_at:
            return known.value
        try:
            return await self._shared_read(name)
        except Unavailable as error:
            if known is None or age >= STALE_SECONDS or known is not self._known.get(name):  # replaced meanwhile
                raise
            known.ask_at = time.monotonic() + AGAIN_SECONDS
            log.warning("the secret %s is %.0f s old and cannot be read again: %s", name, age, error)
            return known.value

    async def _shared_read(self, name: str) -> str:
        """One call for all who ask; whoever gives up, or has little time left, does not take it from the others."""
        reading = self._reading.get(name)
        if reading is None:
            reading = asyncio.create_task(self._read(name), context=unbounded())
            self._reading[name] = reading
            reading.add_done_callback(lambda _: self._reading.pop(name, None))
        return await asyncio.shield(reading)

    async def _read(self, name: str) -> str:
        try:
            number, data = await self._access(name, "latest")
            # `latest` may lag behind for hours, numbers never do; and one may be added while we read.
            # Source: https://cloud.google.com/secret-manager/docs/reference/consistency
            while number < (written := self._written.get(name, 0)):
                try:
                    number, data = await self._access(name, str(written))
                except NotFound:  # the secret was deleted and made again
                    self._written.pop(name, None)
        except InvalidInput as error:  # FAILED_PRECONDITION: the name was checked before
            raise NotFound(f"the newest version of the secret {name} is not enabled") from error
        try:
            value = data.decode()
        except UnicodeDecodeError:
            raise NotFound(f"the secret {name} is no text") from None  # theirs carries the value
        hide(line.strip() for line in value.splitlines())
        now = time.monotonic()
        self._known[name] = _Known(value, now, now + FRESH_SECONDS)
        return value

    async def _access(self, name: str, version: str) -> tuple[int, bytes]:
        """A version's number and content."""
        import google_crc32c  # noqa: PLC0415 - comes with the client

        answer = await call(
            "reading a secret",
            self._secrets().access_secret_version,
            seconds=CALL_SECONDS,
            name=f"projects/{self._project}/secrets/{name}/versions/{version}",
        )
        data: bytes = answer.payload.data
        if answer.payload.data_crc32c != google_crc32c.value(data):
            raise Unavailable(f"the secret {name} arrived damaged")
        return _number(answer.name), data

    async def _add(self, name: str, data: bytes) -> int:
        import google_crc32c  # noqa: PLC0415

        answer = await call(
            "adding a version of a secret",
            self._secrets().add_secret_version,
            seconds=CALL_SECONDS,
            transient=frozenset(),  # a second try could add a second version
            parent=f"projects/{self._project}/secrets/{name}",
            payload={"data": data, "data_crc32c": google_crc32c.value(data)},
        )
        return _number(answer.name)

    async def _create(self, name: str) -> None:
        region = GCPClient().get_region()
        try:
            await call(
                "creating a secret",
                self._secrets().create_secret,
                seconds=CALL_SECONDS,
                parent=f"projects/{self._project}",
                secret_id=name,
                secret={"replication": {"user_managed": {"replicas": [{"location": region}]}}},
            )
        except AlreadyExists:
            return  # somebody else was faster

    def _secrets(self) -> SecretManagerServiceAsyncClient:
        if self._client is None:
            from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient  # noqa: PLC0415 - at first use
            from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
                SecretManagerServiceGrpcAsyncIOTransport,
            )

            self._client = open_client(
                SecretManagerServiceAsyncClient,
                SecretManagerServiceGrpcAsyncIOTransport,
                "SECRET_MANAGER_EMULATOR_HOST",
            )
        return self._client


@per_loop
def secrets_manager() -> SecretsManager:
    """The client of this process and event loop."""
    return SecretsManager()


def _checked(secret_id: str) -> str:
    if not _NAME.fullmatch(secret_id):
        raise InvalidInput("a secret's name has 1 to 255 letters, digits, hyphens and underscores")
    return secret_id


def _number(version: str) -> int:
    """Of a version's full name, ``projects/1234/secrets/token/versions/7``."""
    return int(version.rpartition("/")[2])
