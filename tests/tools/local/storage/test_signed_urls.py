"""URLs that Google's client library signs work for what they say, for as long as they say, and for nothing else."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import grpc
import httpx
import pytest
from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request
from google.cloud.tasks_v2 import CloudTasksAsyncClient
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from google.oauth2 import service_account
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from tests.tools.local.storage.conftest import library
from tests.tools.local.storage.server import running
from tools.gateway_process import free_port
from tools.local.environment import storage_key_file
from tools.local.storage.account import load_account

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "ws 1/ü?#&+%~.txt"
MINUTE = timedelta(minutes=1)
Sign = Any


@pytest.fixture
def sign(bucket: Any, tmp_path: Path) -> Callable[..., str]:
    """Sign as the account whose key lies in the cloud's folder."""
    credentials = credentials_of(tmp_path)
    bucket.blob(NAME).upload_from_string("hello", content_type="text/plain")

    def signed(name: str = NAME, expiration: timedelta = MINUTE, **options: Any) -> str:
        options.setdefault("credentials", credentials)
        made: str = bucket.blob(name).generate_signed_url(version="v4", expiration=expiration, **options)
        return made

    return signed


def credentials_of(folder: Path, **changes: str) -> Any:
    """Google's credentials for the key file in a cloud's folder."""
    key = json.loads(storage_key_file(folder).read_text()) | changes
    made = service_account.Credentials.from_service_account_info(key)  # type: ignore[no-untyped-call] # the library's
    return made.with_scopes(["https://www.googleapis.com/auth/devstorage.read_only"])


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status, and the code of the XML error."""
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def changed(url: str, query: dict[str, str] | None = None, *, path: str = "") -> str:
    parts = urlsplit(url)
    parameters = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return urlunsplit(parts._replace(path=path or parts.path, query=urlencode(parameters | (query or {}))))


def test_a_signed_url_reads_one_object(http: httpx.Client, sign: Sign) -> None:
    answer = http.get(sign())
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"hello", "text/plain")
    assert answer.headers["x-goog-hash"].startswith("crc32c=")
    part = http.get(sign(), headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"el", "bytes 1-2/5")
    head = http.head(sign(method="HEAD"))
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")


def test_the_answer_may_be_dressed(http: httpx.Client, sign: Sign) -> None:
    answer = http.get(sign(response_disposition='attachment; filename="r.pdf"', response_type="application/pdf"))
    assert answer.headers["content-disposition"] == 'attachment; filename="r.pdf"'
    assert answer.headers["content-type"] == "application/pdf"


def test_a_signed_url_writes_one_object(http: httpx.Client, bucket: Any, sign: Sign) -> None:
    url = sign("up", method="PUT", content_type="text/csv", headers={"x-goog-meta-ws": "1"})
    headers = {"Content-Type": "text/csv", "x-goog-meta-ws": "1"}
    assert http.put(url, content=b"a,b", headers=headers).status_code == 200
    found = bucket.get_blob("up")
    assert (found.download_as_bytes(), found.content_type, found.metadata) == (b"a,b", "text/csv", {"ws": "1"})
    assert code(http.put(url, content=b"a,b", headers=headers | {"Content-Type": "text/html"}))[0] == 403
    assert code(http.put(url, content=b"a,b", headers={"Content-Type": "text/csv"}))[0] == 400


def test_a_signed_write_may_be_create_only_and_checked(http: httpx.Client, bucket: Any, sign: Sign) -> None:
    headers = {"x-goog-if-generation-match": "0"}
    url = sign("once", method="PUT", headers=dict(headers))
    assert http.put(url, content=b"1", headers=headers).status_code == 200
    assert code(http.put(url, content=b"2", headers=headers)) == (412, "PreconditionFailed")
    assert code(http.put(url, content=b"2")) == (400, "MalformedSecurityHeader")
    bad = http.put(sign("sum", method="PUT"), content=b"1", headers={"Content-MD5": "AAAA"})
    assert code(bad) == (400, "InvalidArgument")
    assert not bucket.blob("sum").exists()


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, "EntityTooSmall"), (2, ""), (4, ""), (5, "EntityTooLarge"), (300_000, "EntityTooLarge")],
)
def test_a_signed_write_may_have_bounds(
    http: httpx.Client, bucket: Any, sign: Sign, tmp_path: Path, length: int, expected: str
) -> None:
    headers = {"x-goog-content-length-range": "2,4"}
    answer = http.put(sign("up", method="PUT", headers=dict(headers)), content=b"x" * length, headers=headers)
    assert (answer.status_code, code(answer)[1]) == ((400, expected) if expected else (200, ""))
    assert bucket.blob("up").exists() is not bool(expected)
    assert list((tmp_path / "storage/uploads").iterdir()) == []


@pytest.mark.parametrize("bounds", ["", "4", "4,2", "-1,2", "a,b"])
def test_bounds_that_are_none_are_refused(http: httpx.Client, sign: Sign, bounds: str) -> None:
    headers = {"x-goog-content-length-range": bounds}
    answer = http.put(sign("up", method="PUT", headers=dict(headers)), content=b"x", headers=headers)
    assert code(answer) == (400, "InvalidArgument")


def test_an_unsigned_request_reads_nothing(http: httpx.Client, sign: Sign) -> None:
    path = urlsplit(sign()).path
    for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
        assert http.request(method, path).status_code == 403
        assert http.request(method, path, headers={"Authorization": "Bearer anything"}).status_code == 403
    assert http.get("/papers").status_code == 403
    assert http.get("/").status_code == 403


def test_nothing_of_a_signed_request_may_be_changed(http: httpx.Client, bucket: Any, sign: Sign) -> None:
    bucket.blob("other").upload_from_string("other")
    url = sign()
    refused = (403, "SignatureDoesNotMatch")
    assert code(http.get(changed(url, path="/papers/other"))) == refused
    assert code(http.get(changed(url, {"X-Goog-Expires": "604800"}))) == refused
    assert code(http.get(changed(url, {"response-content-type": "text/html"}))) == refused
    assert code(http.get(changed(url, {"X-Goog-Signature": "00" * 256}))) == refused
    assert code(http.get(changed(url, {"X-Goog-Signature": "nonsense"}))) == refused
    assert code(http.put(url, content=b"x")) == refused
    assert code(http.delete(url)) == refused
    assert code(http.get(url, headers={"Host": "elsewhere.example"})) == refused
    assert http.head(url).status_code == 403
    assert http.get(url).status_code == 200
    assert http.get(changed(url)).status_code == 200  # the same, only written anew


def test_a_signature_of_another_key_or_account_is_refused(http: httpx.Client, tmp_path: Path, sign: Sign) -> None:
    (tmp_path / "other").mkdir()
    load_account(tmp_path / "other")
    assert code(http.get(sign(credentials=credentials_of(tmp_path / "other")))) == (403, "SignatureDoesNotMatch")
    renamed = credentials_of(tmp_path, client_email="x@y.iam.gserviceaccount.com")
    assert code(http.get(sign(credentials=renamed))) == (403, "SignatureDoesNotMatch")


def test_a_signed_url_expires(tmp_path: Path) -> None:
    now, port = datetime.now(UTC), free_port(0)  # noqa: TID251 - the library signs with the real time
    with running(tmp_path, port=port) as url, library(url) as client:
        client.create_bucket("papers").blob("a").upload_from_string("a")
        credentials = credentials_of(tmp_path)
        blob = client.bucket("papers").blob("a")
        signed = blob.generate_signed_url(version="v4", expiration=timedelta(days=7), credentials=credentials)
        assert httpx.get(signed).status_code == 200
    for moment, expected in (
        (now + timedelta(days=7) - MINUTE, (200, "")),
        (now + timedelta(days=7) + MINUTE, (400, "ExpiredToken")),
        (now - timedelta(hours=1), (403, "RequestTimeTooSkewed")),
    ):
        with running(tmp_path, port=port, at=moment):
            assert code(httpx.get(signed)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"X-Goog-Expires": "604801"},
        {"X-Goog-Expires": "0"},
        {"X-Goog-Expires": "soon"},
        {"X-Goog-Date": "today"},
        {"X-Goog-Algorithm": "GOOG4-HMAC-SHA256"},
        {"X-Goog-Credential": "functions@x/20200101/auto/storage/goog4_request"},
        {"X-Goog-SignedHeaders": "content-type"},
        {"X-Goog-SignedHeaders": "host;x-goog-meta-a"},
    ],
)
def test_a_malformed_signature_is_a_bad_request(http: httpx.Client, sign: Sign, change: dict[str, str]) -> None:
    assert http.get(changed(sign(), change)).status_code == 400


def test_a_signed_url_of_nothing_is_not_found(http: httpx.Client, sign: Sign) -> None:
    assert code(http.get(sign("nothing"))) == (404, "NoSuchKey")


def test_only_reading_and_writing_are_there(http: httpx.Client, sign: Sign) -> None:
    assert code(http.delete(sign(method="DELETE"))) == (405, "MethodNotAllowed")


def test_the_key_is_private_stays_and_leads_to_nobody(tmp_path: Path) -> None:
    account = load_account(tmp_path)
    assert load_account(tmp_path) == account
    path = storage_key_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(TransportError, match=r"127\.0\.0\.1.*port=9"):
        credentials_of(tmp_path).refresh(Request())


def test_a_signed_header_may_not_come_twice(http: httpx.Client, bucket: Any, sign: Sign) -> None:
    url = sign("up", method="PUT", headers={"x-goog-meta-ws": "1"})
    twice = [("x-goog-meta-ws", "1"), ("x-goog-meta-ws", "2")]
    assert code(http.put(url, content=b"x", headers=twice)) == (403, "SignatureDoesNotMatch")


async def test_other_clients_do_not_use_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_account(tmp_path)
    path = storage_key_file(tmp_path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    os.truncate(path, 0)  # whoever reads it fails
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
