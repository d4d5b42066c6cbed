"""Signing without a private key, as deployed: the metadata server gives a token, IAM lends its key."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth import iam
from google.auth.compute_engine import _metadata
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from common.errors import Misconfigured, Unavailable
from common.functions.deadline import within
from common.infrastructure.storage import CloudStorage
from tools.gateway_process import free_port
from tools.local.environment import storage_key_file
from tools.local.services import serve
from tools.local.storage.account import EMAIL, load_account
from tools.local.storage.signing import verify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

FLAVOR = {"Metadata-Flavor": "Google"}


@dataclass
class Google:
    """The metadata server and IAM's ``signBlob``, with the key of the local service account."""

    key: rsa.RSAPrivateKey
    status: int = 200
    token_seconds: int = 3600
    tokens: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)

    async def root(self, _request: Request) -> Response:
        return PlainTextResponse("", headers=FLAVOR)

    async def project(self, _request: Request) -> Response:
        return PlainTextResponse("p", headers=FLAVOR)

    async def universe(self, _request: Request) -> Response:
        return PlainTextResponse("googleapis.com", headers=FLAVOR)

    async def account(self, _request: Request) -> Response:
        return JSONResponse({"email": EMAIL, "scopes": ["s"], "aliases": ["default"]}, headers=FLAVOR)

    async def token(self, _request: Request) -> Response:
        self.tokens.append(f"token-{len(self.tokens)}")
        answer = {"access_token": self.tokens[-1], "expires_in": self.token_seconds, "token_type": "Bearer"}
        return JSONResponse(answer, headers=FLAVOR)

    async def sign(self, request: Request) -> Response:
        self.signed.append(request.headers["authorization"])
        if self.status != 200:
            return JSONResponse({"error": "no"}, self.status)
        payload = base64.b64decode((await request.json())["payload"])
        signature = self.key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        return JSONResponse({"signedBlob": base64.b64encode(signature).decode()})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        accounts = "/computeMetadata/v1/instance/service-accounts/{account}/"
        routes = [
            Route("/", self.root),
            Route("/computeMetadata/v1/project/project-id", self.project),
            Route("/computeMetadata/v1/universe/universe-domain", self.universe),
            Route(accounts, self.account),
            Route(f"{accounts}token", self.token),
            Route(f"/v1/projects/-/serviceAccounts/{EMAIL}:signBlob", self.sign, methods=["POST"]),
        ]
        port = free_port(0)
        async with serve(Starlette(routes=routes), port):
            yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Google]:
    """A deployed function's surroundings: no key file, no emulator."""
    load_account(tmp_path)
    content = json.loads(storage_key_file(tmp_path).read_text())
    key = serialization.load_pem_private_key(content["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    made = Google(key)
    async with made.serving() as url:
        for variable in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "EXPORTS_BUCKET"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "nothing"))
        monkeypatch.setenv("GCE_METADATA_IP", urlsplit(url).netloc)
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", urlsplit(url).netloc)
        monkeypatch.setattr(iam, "_IAM_SIGN_ENDPOINT", f"{url}/v1/projects/-/serviceAccounts/{{}}:signBlob")
        yield made


async def signed_url() -> str:
    storage = CloudStorage()
    try:
        return await storage.generate_signed_url("exports", "a b", 60)
    finally:
        storage.close()


async def test_iam_signs_in_the_name_of_the_functions_account(google: Google, tmp_path: Path) -> None:
    parts = urlsplit(await signed_url())
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "storage.googleapis.com", "/p-exports/a%20b")
    now = datetime.now(UTC)  # noqa: TID251 - the library signs with the real time
    verify(load_account(tmp_path), "GET", parts.path, parts.query, {"host": parts.netloc}, now)
    assert google.signed == [f"Bearer {google.tokens[-1]}"]


async def test_a_token_is_used_until_it_expires(google: Google) -> None:
    storage = CloudStorage()
    for _ in range(3):
        await storage.generate_signed_url("exports", "a", 60)
    storage.close()
    assert len(google.signed) == 3
    assert len(set(google.signed)) == 1
    before = len(google.tokens)
    google.token_seconds = 1  # gone at once: the library renews minutes before the end
    storage = CloudStorage()
    for _ in range(2):
        await storage.generate_signed_url("exports", "a", 60)
    storage.close()
    assert len(google.tokens) > before + 1


async def test_iam_that_refuses_is_unavailable(google: Google) -> None:
    google.status = 403
    with pytest.raises(Unavailable, match="signing a URL of exports/a b: TransportError"):
        await signed_url()


async def test_iam_that_fails_again_and_again_is_unavailable_within_the_deadline(google: Google) -> None:
    google.status = 503
    with pytest.raises(Unavailable):
        async with within(0.5):
            await signed_url()


async def test_a_person_is_no_service_account(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person: dict[str, Any] = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    (tmp_path / "person.json").write_text(json.dumps(person))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "person.json"))
    monkeypatch.setattr("google.oauth2.credentials.Credentials.valid", True)
    with pytest.raises(Misconfigured, match="service account"):
        await signed_url()
