"""Preconditions, through Google's client library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions

if TYPE_CHECKING:
    import httpx


def test_preconditions_of_writes(bucket: Any) -> None:
    first = bucket.blob("a")
    first.upload_from_string("one", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("two", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("two", if_generation_match=first.generation + 1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("two", if_generation_not_match=first.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("two", if_metageneration_match=2)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("absent").upload_from_string("two", if_metageneration_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").delete(if_generation_match=first.generation + 1)
    first.metadata = {"a": "b"}
    with pytest.raises(exceptions.PreconditionFailed):
        first.patch(if_metageneration_match=2)
    assert bucket.blob("a").download_as_bytes() == b"one"
    second = bucket.blob("a")
    second.upload_from_string("two", if_generation_match=first.generation)
    second.delete(if_generation_match=second.generation)
    assert not bucket.blob("a").exists()


def test_preconditions_of_reads(http: httpx.Client, bucket: Any) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string("one")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=1)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.reload(if_metageneration_match=2)
    for condition in (f"ifGenerationNotMatch={blob.generation}", "ifMetagenerationNotMatch=1"):
        answer = http.get(f"/storage/v1/b/papers/o/a?{condition}")
        assert (answer.status_code, answer.content) == (304, b"")
    assert http.get("/storage/v1/b/papers/o/a?ifGenerationMatch=x").status_code == 400
