"""Pages of names, through Google's client library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions

if TYPE_CHECKING:
    import httpx


def test_listing_by_prefix_delimiter_and_page(client: Any, bucket: Any) -> None:
    for name in ("a/1", "a/2", "a/b/3", "a/b/4", "a/c/5", "b", "c/6"):
        bucket.blob(name).upload_from_string("")

    def listed(**options: Any) -> tuple[list[str], list[str]]:
        iterator = client.list_blobs(bucket, **options)
        names = [blob.name for blob in iterator]
        return names, sorted(iterator.prefixes)

    for size in (1, 2, 3, 100):
        assert listed(delimiter="/", page_size=size) == (["b"], ["a/", "c/"])
        assert listed(prefix="a/", delimiter="/", page_size=size) == (["a/1", "a/2"], ["a/b/", "a/c/"])
        assert listed(prefix="a/b", page_size=size) == (["a/b/3", "a/b/4"], [])
        assert listed(start_offset="a/c", end_offset="c", page_size=size) == (["a/c/5", "b"], [])
    assert listed(max_results=2) == (["a/1", "a/2"], [])
    with pytest.raises(exceptions.MethodNotImplemented):
        listed(match_glob="*.txt")


@pytest.mark.parametrize("query", ["maxResults=0", "maxResults=x", "pageToken=%21", "pageToken=%2F%2F%2F%2F"])
def test_a_page_that_cannot_be_is_refused(http: httpx.Client, bucket: Any, query: str) -> None:
    assert http.get(f"/storage/v1/b/papers/o?{query}").status_code == 400
