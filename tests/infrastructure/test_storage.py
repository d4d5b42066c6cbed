"""Objects, with Google's own client library, in a real server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from common.errors import InvalidInput, Misconfigured
from common.infrastructure import storage_config
from common.infrastructure.errors import AlreadyExists, NotFound, PermissionDenied
from common.infrastructure.storage import cloud_storage

if TYPE_CHECKING:
    from tests.stack import Stack

REPOSITORY = Path(__file__).parents[2]
PATH = "exports/ü 1.txt"


@pytest.fixture(autouse=True)
async def _buckets(stack: Stack) -> None:
    await stack.make_buckets()


async def test_upload_download() -> None:
    content = os.urandom(100_000)
    stored = await cloud_storage().upload_file(
        "exports", PATH, content, "application/pdf", metadata={"invoice": "RF/1"}
    )
    assert stored.size == 100_000
    assert stored.md5 == base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    assert len(base64.b64decode(stored.crc32c)) == 4
    assert await cloud_storage().download_file("exports", PATH) == content
    again = await cloud_storage().upload_file("exports", PATH, b"", "text/plain")
    assert again.generation > stored.generation
    assert await cloud_storage().download_file("exports", PATH) == b""
    with pytest.raises(NotFound, match=r"assets/exports/"):
        await cloud_storage().download_file("assets", PATH)


async def test_content_of_more_than_one_request() -> None:
    content = os.urandom(9_000_000)  # from 8 MiB on the library uploads in chunks
    assert (await cloud_storage().upload_file("assets", "big", content, "image/png")).size == len(content)
    assert await cloud_storage().download_file("assets", "big") == content


async def test_what_is_stored_is_described(stack: Stack) -> None:
    await cloud_storage().upload_file("assets", "a", b"a", "text/plain; charset=utf-8", metadata={"ws": "1"})
    url = f"{stack.environment['STORAGE_EMULATOR_HOST']}/storage/v1/b/{storage_config.bucket('ASSETS')}/o/a"
    async with httpx.AsyncClient() as client:
        found = (await client.get(url)).json()
    assert (found["contentType"], found["metadata"]) == ("text/plain; charset=utf-8", {"ws": "1"})


async def test_one_client_serves_concurrent_calls() -> None:
    storage = cloud_storage()
    await asyncio.gather(*(storage.upload_file("assets", f"o/{n}", b"%d" % n, "text/plain") for n in range(20)))
    assert await asyncio.gather(*(storage.download_file("assets", f"o/{n}") for n in range(20))) == [
        b"%d" % n for n in range(20)
    ]


async def test_what_must_not_be_replaced_is_created_once() -> None:
    await cloud_storage().upload_file("invoices", "a.pdf", b"one", "application/pdf", create_only=True)
    with pytest.raises(AlreadyExists, match=r"uploading invoices/a\.pdf"):
        await cloud_storage().upload_file("invoices", "a.pdf", b"two", "application/pdf", create_only=True)
    assert await cloud_storage().download_file("invoices", "a.pdf") == b"one"


async def test_one_of_many_creates() -> None:
    calls = (
        cloud_storage().upload_file("assets", "once", b"%d" % n, "text/plain", create_only=True) for n in range(10)
    )
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, AlreadyExists) for result in results) == 9


async def test_delete() -> None:
    await cloud_storage().upload_file("assets", "a", b"a", "text/plain")
    await cloud_storage().delete_file("assets", "a")
    with pytest.raises(NotFound):
        await cloud_storage().download_file("assets", "a")
    await cloud_storage().delete_file("assets", "a")  # as good as deleted


async def test_only_the_generation_that_was_seen_is_replaced_read_or_deleted() -> None:
    storage = cloud_storage()
    first = await storage.upload_file("assets", "a", b"1", "text/plain")
    second = await storage.upload_file("assets", "a", b"2", "text/plain", generation=first.generation)
    with pytest.raises(AlreadyExists, match="uploading assets/a"):
        await storage.upload_file("assets", "a", b"3", "text/plain", generation=first.generation)
    with pytest.raises(NotFound):
        await storage.download_file("assets", "a", generation=first.generation)
    assert await storage.download_file("assets", "a", generation=second.generation) == b"2"
    with pytest.raises(AlreadyExists, match="deleting assets/a"):
        await storage.delete_file("assets", "a", generation=first.generation)
    await storage.delete_file("assets", "a", generation=second.generation)
    await storage.delete_file("assets", "a", generation=second.generation)  # as good as deleted
    with pytest.raises(AlreadyExists):
        await storage.upload_file("assets", "a", b"4", "text/plain", generation=second.generation)
    with pytest.raises(InvalidInput, match="exclude"):
        await storage.upload_file("assets", "a", b"4", "text/plain", create_only=True, generation=1)


async def test_retention_protects_invoices() -> None:
    await cloud_storage().upload_file("invoices", "a.pdf", b"one", "application/pdf")
    with pytest.raises(PermissionDenied, match=r"deleting invoices/a\.pdf"):
        await cloud_storage().delete_file("invoices", "a.pdf")
    with pytest.raises(PermissionDenied):
        await cloud_storage().upload_file("invoices", "a.pdf", b"two", "application/pdf")
    assert await cloud_storage().download_file("invoices", "a.pdf") == b"one"


# --- signed URLs


async def test_signed_url() -> None:
    await cloud_storage().upload_file("exports", PATH, b"report", "text/plain")
    await cloud_storage().upload_file("exports", "other", b"secret", "text/plain")
    url = await cloud_storage().generate_signed_url("exports", PATH, timedelta(days=7))
    async with httpx.AsyncClient() as anyone:
        assert (await anyone.get(url)).content == b"report"
        for tampered in (
            url.replace(urlsplit(url).path, f"/{storage_config.bucket('exports')}/other"),
            url.replace("X-Goog-Expires=604800", "X-Goog-Expires=604799"),
            url[:-2] + ("00" if url[-2:] != "00" else "11"),
            url.partition("?")[0],
        ):
            assert tampered != url
            assert (await anyone.get(tampered)).status_code == 403
        assert (await anyone.put(url, content=b"x")).status_code == 403
        short = await cloud_storage().generate_signed_url("exports", PATH, 1)
        assert (await anyone.get(short)).status_code == 200
        async with asyncio.timeout(5):
            while (answer := await anyone.get(short)).status_code == 200:
                await asyncio.sleep(0.1)
        assert (answer.status_code, "ExpiredToken" in answer.text) == (400, True)


async def test_a_signed_url_may_be_for_writing() -> None:
    url = await cloud_storage().generate_signed_url(
        "evidence", "ws/up.txt", timedelta(minutes=5), method="PUT", content_type="text/plain"
    )
    async with httpx.AsyncClient(headers={"Content-Type": "text/plain"}) as anyone:
        assert (await anyone.put(url, content=b"evidence")).status_code == 200
        assert (await anyone.get(url)).status_code == 403
        assert (await anyone.put(url, content=b"<script>", headers={"Content-Type": "text/html"})).status_code == 403
    assert await cloud_storage().download_file("evidence", "ws/up.txt") == b"evidence"


async def test_a_signed_write_has_a_largest_size() -> None:
    url = await cloud_storage().generate_signed_url(
        "evidence", "up", 60, method="PUT", content_type="image/png", max_bytes=10
    )
    signed = {"Content-Type": "image/png", "x-goog-content-length-range": "0,10"}
    async with httpx.AsyncClient() as anyone:
        assert "EntityTooLarge" in (await anyone.put(url, content=b"x" * 11, headers=signed)).text
        larger = signed | {"x-goog-content-length-range": "0,11"}
        assert (await anyone.put(url, content=b"x" * 11, headers=larger)).status_code == 403
        assert (await anyone.put(url, content=b"x", headers={"Content-Type": "image/png"})).status_code == 400
        with pytest.raises(NotFound):
            await cloud_storage().download_file("evidence", "up")
        assert (await anyone.put(url, content=b"x" * 10, headers=signed)).status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": "PUT"},
        {"method": "PUT", "content_type": "png"},
        {"method": "PUT", "content_type": "image/png", "max_bytes": 0},
        {"content_type": "image/png"},
        {"max_bytes": 1},
    ],
)
async def test_what_cannot_be_signed(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await cloud_storage().generate_signed_url("evidence", "up", 60, **arguments)


async def test_a_signed_url_lives_a_second_to_seven_days() -> None:
    for life in (0, 0.5, -1, 604_801, float("nan"), float("inf"), timedelta(days=7, seconds=1), timedelta(0)):
        with pytest.raises(InvalidInput, match="seven days"):
            await cloud_storage().generate_signed_url("exports", PATH, life)


async def test_a_signed_url_cannot_delete() -> None:
    method: Any = "DELETE"
    with pytest.raises(InvalidInput, match="GET, HEAD, PUT"):
        await cloud_storage().generate_signed_url("exports", PATH, 60, method=method)


@pytest.mark.parametrize(
    "key", ["", '{"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}']
)
async def test_without_a_private_key_nothing_is_signed_locally(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    (tmp_path / "key.json").write_text(key)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json") if key else "")
    with pytest.raises(Misconfigured, match="GOOGLE_APPLICATION_CREDENTIALS"):
        await cloud_storage().generate_signed_url("exports", PATH, 60)


# --- what cannot be


async def test_a_name_that_means_another_place_is_refused() -> None:
    storage = cloud_storage()
    for call in (
        storage.upload_file("assets", "../a", b"a", "text/plain"),
        storage.download_file("assets", "../a"),
        storage.delete_file("assets", "../a"),
        storage.generate_signed_url("assets", "../a", 60),
    ):
        with pytest.raises(InvalidInput, match="not the name of an object"):
            await call


async def test_a_content_type_is_needed() -> None:
    for content_type in ("", "pdf", "text/", "text/plain\r\nx-a: b", "text/pläin", "a/b; "):
        with pytest.raises(InvalidInput, match="content type"):
            await cloud_storage().upload_file("assets", "a", b"a", content_type)


async def test_buckets_are_ours(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="evidence, exports, assets, invoices"):
        await cloud_storage().download_file("somebody-elses", "a")
    project = stack.environment["GOOGLE_CLOUD_PROJECT"]
    assert storage_config.bucket(storage_config.INVOICES_BUCKET) == f"{project}-invoices"
    monkeypatch.setenv("INVOICES_BUCKET", "nobodys-bucket")
    assert storage_config.bucket("INVOICES") == "nobodys-bucket"
    with pytest.raises(NotFound):
        await cloud_storage().upload_file("invoices", "a", b"a", "text/plain")


def test_importing_the_module_imports_nothing_of_google() -> None:
    code = (
        "import sys, common.infrastructure.storage as s, common.infrastructure as i; i.CloudStorage is s.CloudStorage;"
        "sys.exit(any(name.startswith('google') or name == 'requests' for name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=REPOSITORY, env=environment)
