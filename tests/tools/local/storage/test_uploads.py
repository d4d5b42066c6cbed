"""The ways in which bytes arrive, and what is refused on the way."""

from __future__ import annotations

import io
import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from google.api_core import exceptions

from tools.local.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

KIB_256 = 256 * 1024
WRONG = "AAAAAA=="


def start(http: httpx.Client, name: str = "big", query: str = "", **resource: Any) -> str:
    answer = http.post(
        f"/upload/storage/v1/b/papers/o?uploadType=resumable{query}",
        json={"name": name, **resource},
        headers={"X-Upload-Content-Type": "text/plain"},
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["location"]


def send(http: httpx.Client, location: str, content: bytes, span: str, **headers: str) -> httpx.Response:
    return http.put(location, content=content, headers={"Content-Range": f"bytes {span}", **headers})


def related(http: httpx.Client, body: bytes, boundary: str = "=b=") -> httpx.Response:
    return http.post(
        "/upload/storage/v1/b/papers/o?uploadType=multipart",
        content=body,
        headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
    )


def parts(resource: str, content: bytes) -> bytes:
    return b"".join(
        [
            b"--=b=\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n",
            resource.encode(),
            b"\r\n--=b=\r\ncontent-type: text/csv\r\n\r\n",
            content,
            b"\r\n--=b=--",
        ]
    )


def test_large_content_goes_in_chunks(bucket: Any) -> None:
    content = os.urandom(1_500_000)
    bucket.blob("big", chunk_size=KIB_256).upload_from_file(io.BytesIO(content), size=len(content))
    assert bucket.blob("big").download_as_bytes() == content


def test_content_of_unknown_length_is_streamed(bucket: Any) -> None:
    for length in (0, 10, KIB_256, 3 * KIB_256 + 1):
        with bucket.blob("stream", chunk_size=KIB_256).open("wb") as file:
            file.write(b"x" * length)
        assert bucket.get_blob("stream").size == length


def test_an_upload_asks_how_far_it_came_and_goes_on(http: httpx.Client, bucket: Any) -> None:
    content = os.urandom(2 * KIB_256 + 100)
    total, location = len(content), start(http)
    nothing = send(http, location, b"", "*/*")
    assert (nothing.status_code, nothing.headers.get("range")) == (308, None)
    first = send(http, location, content[:KIB_256], f"0-{KIB_256 - 1}/*")
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{KIB_256 - 1}")
    again = send(http, location, content[: 2 * KIB_256], f"0-{2 * KIB_256 - 1}/{total}")  # half of it is there
    assert (again.status_code, again.headers["range"]) == (308, f"bytes=0-{2 * KIB_256 - 1}")
    asked = send(http, location, b"", f"*/{total}")
    assert asked.headers["range"] == f"bytes=0-{2 * KIB_256 - 1}"
    assert not bucket.blob("big").exists()
    done = send(http, location, content[2 * KIB_256 :], f"{2 * KIB_256}-{total - 1}/{total}")
    assert (done.status_code, done.json()["contentType"]) == (200, "text/plain")
    assert send(http, location, b"", "*/*").json() == done.json()  # after a lost answer
    assert bucket.blob("big").download_as_bytes() == content


def test_a_single_request_needs_no_range(http: httpx.Client, bucket: Any) -> None:
    assert http.put(start(http), content=b"all of it").json()["size"] == "9"


@pytest.mark.parametrize("span", ["10-19/*", f"{KIB_256}-{2 * KIB_256 - 1}/*", "a-b/c", "0-9/5"])
def test_a_chunk_that_does_not_fit_is_refused(http: httpx.Client, bucket: Any, span: str) -> None:
    assert send(http, start(http), b"x" * 10, span).status_code == 400
    assert not bucket.blob("big").exists()


def test_a_resumable_upload_is_checked_at_both_ends(http: httpx.Client, bucket: Any, tmp_path: Path) -> None:
    location = start(http, query="&ifGenerationMatch=0")
    bucket.blob("big").upload_from_string("faster")
    assert http.put(location, content=b"slower").status_code == 412
    assert http.put(location, content=b"slower").status_code == 404
    refused = http.post("/upload/storage/v1/b/papers/o?uploadType=resumable&ifGenerationMatch=0", json={"name": "big"})
    assert refused.status_code == 412
    assert http.put(start(http, "sum"), content=b"x", headers={"x-goog-hash": f"crc32c={WRONG}"}).status_code == 400
    assert http.put(start(http, "sum", md5Hash=WRONG), content=b"x").status_code == 400
    assert not bucket.blob("sum").exists()
    assert http.put(f"{location}x", content=b"x").status_code == 404
    assert list((tmp_path / "storage/uploads").iterdir()) == []


def test_media_uploads_check_the_headers(http: httpx.Client, bucket: Any) -> None:
    path = "/upload/storage/v1/b/papers/o?uploadType=media&name=a"
    assert http.post(path, content=b"a", headers={"Content-Type": "text/css"}).json()["contentType"] == "text/css"
    for header in ({"x-goog-hash": f"md5={WRONG}"}, {"x-goog-hash": f"crc32c={WRONG}"}, {"Content-MD5": WRONG}):
        answer = http.post(path, content=b"b", headers=header)
        assert (answer.status_code, "calculated" in answer.json()["error"]["message"]) == (400, True)
    assert bucket.blob("a").download_as_bytes() == b"a"


def test_a_multipart_upload_takes_its_type_from_the_resource_else_from_its_part(
    http: httpx.Client, bucket: Any
) -> None:
    content = b"--=b\r\n--=b=\r" + os.urandom(200_000)  # nearly a boundary
    assert related(http, parts('{"name": "a"}', content)).json()["contentType"] == "text/csv"
    assert bucket.blob("a").download_as_bytes() == content
    assert related(http, parts('{"name": "a", "contentType": "a/b"}', b"")).json()["contentType"] == "a/b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        parts('{"name": "a"}', b"content")[:-30],
        parts("{", b"content"),
        parts("[]", b"content"),
        parts("{}", b"content"),
        parts('{"name": ""}', b"content"),
        parts('{"name": ".."}', b"content"),
        parts('{"name": "a\\nb"}', b"content"),
        parts(f'{{"name": "{"x" * 1025}"}}', b"content"),
        parts(f'{{"name": "a", "crc32c": "{WRONG}"}}', b"content"),
        parts(f'{{"name": "a", "md5Hash": "{WRONG}"}}', b"content"),
        parts('{"name": "a", "metadata": 5}', b"content"),
    ],
)
def test_a_multipart_upload_that_is_wrong_leaves_nothing(
    http: httpx.Client, bucket: Any, tmp_path: Path, body: bytes
) -> None:
    answer = related(http, body)
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")
    assert list(bucket.list_blobs()) == []
    assert list((tmp_path / "storage/uploads").iterdir()) == []


def test_an_upload_of_another_kind_is_refused(http: httpx.Client, bucket: Any) -> None:
    assert http.post("/upload/storage/v1/b/papers/o?uploadType=carrier-pigeon").status_code == 400
    assert http.post("/upload/storage/v1/b/papers/o?uploadType=multipart", content=b"x").status_code == 400
    with pytest.raises(exceptions.MethodNotImplemented):
        bucket.blob("a").upload_from_string("a", predefined_acl="publicRead")


def test_a_client_that_goes_away_leaves_nothing(url: str, bucket: Any, tmp_path: Path) -> None:
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
        connection.sendall(
            b"POST /upload/storage/v1/b/papers/o?uploadType=media&name=a HTTP/1.1\r\n"
            b"Host: h\r\nContent-Length: 1000\r\n\r\nhalf of it"
        )
        assert wait_until(lambda: any((tmp_path / "storage/uploads").iterdir()), 5)
    assert wait_until(lambda: not any((tmp_path / "storage/uploads").iterdir()), 5)
    assert not bucket.blob("a").exists()
