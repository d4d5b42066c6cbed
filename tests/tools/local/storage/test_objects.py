"""Objects, through Google's client library."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from typing import TYPE_CHECKING, Any

import google_crc32c
import pytest
from google.api_core import exceptions

from tests.tools.local.storage.conftest import library
from tests.tools.local.storage.server import running

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

NAMES = ("a/1", "a/2", "a/b/3", "b", "c/4", "ü ?#%/+&\\.txt")


def contents(bucket: Any) -> dict[str, bytes]:
    return {blob.name: blob.download_as_bytes() for blob in bucket.list_blobs()}


def test_what_is_uploaded_is_downloaded_with_its_description(bucket: Any) -> None:
    blob = bucket.blob("ws/a.txt")
    blob.metadata, blob.cache_control, blob.content_disposition = {"ws": "1"}, "no-store", 'attachment; filename="a"'
    blob.upload_from_string("hello", content_type="text/plain")
    found = bucket.get_blob("ws/a.txt")
    assert found.download_as_bytes() == b"hello"
    assert (found.size, found.content_type, found.metadata) == (5, "text/plain", {"ws": "1"})
    assert (found.cache_control, found.content_disposition) == ("no-store", 'attachment; filename="a"')
    assert found.md5_hash == base64.b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    assert found.crc32c == base64.b64encode(google_crc32c.value(b"hello").to_bytes(4, "big")).decode()
    assert (found.generation, found.metageneration) == (blob.generation, 1)
    assert found.time_created == found.updated
    assert found.storage_class == "STANDARD"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_have_any_character(bucket: Any, name: str) -> None:
    bucket.blob(name).upload_from_string(name)
    assert contents(bucket) == {name: name.encode()}
    bucket.blob(name).delete()
    assert contents(bucket) == {}


def test_an_empty_object_is_an_object(bucket: Any) -> None:
    bucket.blob("empty").upload_from_string("")
    assert bucket.get_blob("empty").size == 0
    assert bucket.blob("empty").download_as_bytes() == b""


def test_an_overwritten_object_is_another_generation(bucket: Any) -> None:
    first, second = bucket.blob("a"), bucket.blob("a")
    first.upload_from_string("one")
    second.upload_from_string("two")
    assert second.generation > first.generation
    assert bucket.blob("a").download_as_bytes() == b"two"
    with pytest.raises(exceptions.NotFound):
        bucket.blob("a", generation=first.generation).download_as_bytes()
    assert bucket.blob("a", generation=second.generation).exists()


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(1, 3, b"123"), (7, None, b"789"), (-2, None, b"89"), (5, 99, b"56789")]
)
def test_ranges(bucket: Any, start: int, end: int | None, expected: bytes) -> None:
    bucket.blob("digits").upload_from_string("0123456789")
    assert bucket.blob("digits").download_as_bytes(start=start, end=end) == expected


def test_a_range_behind_the_end_is_refused(bucket: Any) -> None:
    bucket.blob("digits").upload_from_string("0123456789")
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        bucket.blob("digits").download_as_bytes(start=10)


def test_a_malformed_range_is_ignored(http: httpx.Client, bucket: Any) -> None:
    bucket.blob("digits").upload_from_string("0123456789")
    for header in ("bytes=5-2", "bytes=-", "lines=1-2", "bytes=0-1,3-4"):
        answer = http.get("/download/storage/v1/b/papers/o/digits?alt=media", headers={"Range": header})
        assert (answer.status_code, answer.content) == (200, b"0123456789")


def test_metadata_is_merged_and_counted(bucket: Any) -> None:
    blob = bucket.blob("a")
    blob.metadata = {"kept": "1", "removed": "2"}
    blob.upload_from_string("a")
    blob.metadata = {"removed": None, "added": "3"}
    blob.content_type = "text/csv"
    blob.patch()
    found = bucket.get_blob("a")
    assert (found.metadata, found.content_type) == ({"kept": "1", "added": "3"}, "text/csv")
    assert (found.generation, found.metageneration) == (blob.generation, 2)
    assert found.updated >= found.time_created
    found.metadata = None
    found.update()
    assert bucket.get_blob("a").metadata is None


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"a": 1}}, {"metadata": {"a": "x" * 9000}}, {"contentType": 5}, {"contentType": "a\r\nb: c"}],
)
def test_metadata_that_cannot_be_is_refused(http: httpx.Client, bucket: Any, change: dict[str, Any]) -> None:
    bucket.blob("a").upload_from_string("a")
    assert http.patch("/storage/v1/b/papers/o/a", json=change).status_code == 400
    assert bucket.get_blob("a").metageneration == 1


def test_holds_are_not_implemented(bucket: Any) -> None:
    bucket.blob("a").upload_from_string("a")
    blob = bucket.get_blob("a")
    blob.temporary_hold = True
    with pytest.raises(exceptions.MethodNotImplemented):
        blob.patch()


def test_copy_rename_and_rewrite(client: Any, bucket: Any) -> None:
    other = client.create_bucket("copies")
    source = bucket.blob("a")
    source.metadata = {"kept": "yes"}
    source.upload_from_string("content", content_type="text/plain")
    copied = bucket.copy_blob(source, other, "b")
    assert (copied.md5_hash, copied.metadata, copied.content_type) == (source.md5_hash, {"kept": "yes"}, "text/plain")
    token, rewritten, total = bucket.blob("c").rewrite(source)
    assert (token, rewritten, total) == (None, 7, 7)
    bucket.rename_blob(source, "d/e")
    assert contents(bucket) == {"c": b"content", "d/e": b"content"}
    assert contents(other) == {"b": b"content"}


def test_a_copy_has_conditions_on_both_ends(bucket: Any) -> None:
    source = bucket.blob("a")
    source.upload_from_string("content")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, bucket, "b", if_source_generation_match=1)
    bucket.copy_blob(source, bucket, "b", if_generation_match=0, if_source_generation_match=source.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.copy_blob(source, bucket, "b", if_generation_match=0)


def test_compose(bucket: Any) -> None:
    parts = [bucket.blob(name) for name in ("1", "2")]
    for part in parts:
        part.upload_from_string(part.name * 3)
    whole = bucket.blob("whole")
    whole.content_type = "text/plain"
    whole.compose(parts, if_source_generation_match=[part.generation for part in parts])
    found = bucket.get_blob("whole")
    assert found.download_as_bytes() == b"111222"  # its CRC32C verified by the library
    assert (found.content_type, found.component_count, found.md5_hash) == ("text/plain", 2, None)
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts, if_source_generation_match=[1, 2])
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts, if_generation_match=0)
    with pytest.raises(exceptions.NotFound):
        whole.compose([bucket.blob("nothing")])
    with pytest.raises(exceptions.BadRequest):
        whole.compose([bucket.blob("1")] * 33)


def test_what_is_missing_is_not_found(client: Any, bucket: Any) -> None:
    blob = bucket.blob("nothing")
    for call in (blob.reload, blob.delete, blob.download_as_bytes, blob.patch):
        with pytest.raises(exceptions.NotFound):
            call()
    assert not blob.exists()
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        client.bucket("nowhere").blob("a").upload_from_string("a")


def test_everything_survives_a_restart_and_nothing_half_done_stays(tmp_path: Path) -> None:
    big = os.urandom(300_000)
    with running(tmp_path) as url, library(url) as client:
        bucket = client.create_bucket("papers")
        blob = bucket.blob("kept")
        blob.upload_from_string(b"old")
        blob.metadata = {"a": "b"}
        blob.upload_from_string(big)
        bucket.blob("deleted").upload_from_string("x")
        bucket.blob("deleted").delete()
        blob._initiate_resumable_upload(client, io.BytesIO(big), "text/plain", None)
    folder = tmp_path / "storage/buckets/papers"
    (folder / "orphan.1").write_bytes(b"written, but its resource never came")
    with running(tmp_path) as url, library(url) as client:
        bucket = client.get_bucket("papers")
        assert contents(bucket) == {"kept": big}
        assert bucket.get_blob("kept").metadata == {"a": "b"}
        after = bucket.blob("kept")
        after.upload_from_string("new")
        assert after.generation > blob.generation
    assert len(list(folder.iterdir())) == 3  # the bucket, the object, its bytes
    assert list((tmp_path / "storage/uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("authorization", "status"), [(None, 200), ("Bearer anything", 200), ("Bearer", 401), ("Basic YTpi", 401)]
)
def test_the_json_api_takes_any_bearer_and_none(
    http: httpx.Client, bucket: Any, authorization: str | None, status: int
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert http.get("/storage/v1/b/papers", headers=headers).status_code == status


def test_unknown_paths_and_methods_are_told_in_json(http: httpx.Client) -> None:
    for method, path, status in (("GET", "/storage/v1/nothing", 404), ("DELETE", "/storage/v1/b", 405)):
        answer = http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)
    assert http.post("/batch/storage/v1").status_code == 404
    assert http.post("/storage/v1/b?project=p", content=b"{").status_code == 400
    assert http.post("/storage/v1/b?project=p", content=b"[]").status_code == 400
    assert http.get("/storage/v1/b").status_code == 400
