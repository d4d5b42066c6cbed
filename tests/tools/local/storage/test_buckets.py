"""Buckets and their settings, through Google's client library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core import exceptions

from tests.tools.local.storage.conftest import PROJECT, library
from tests.tools.local.storage.server import running

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)


def test_a_bucket_keeps_where_it_lies_and_whose_it_is(url: str, client: Any, bucket: Any) -> None:
    found = client.get_bucket("papers")
    assert (found.location, found.storage_class, found.metageneration) == ("ASIA-SOUTH1", "STANDARD", 1)
    assert found.time_created
    assert found.etag
    assert [item.name for item in client.list_buckets()] == ["papers"]
    with library(url, "another-project") as other:
        assert list(other.list_buckets()) == []


def test_settings_are_kept_and_changed_one_by_one(client: Any, bucket: Any) -> None:
    bucket.add_lifecycle_set_storage_class_rule("NEARLINE", age=30)
    bucket.add_lifecycle_delete_rule(age=7, matches_prefix=["exports/"])
    bucket.labels = {"team": "billing", "kind": "tax"}
    bucket.cors = [{"origin": ["https://app.example.com"], "method": ["GET"], "maxAgeSeconds": 60}]
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    found = client.get_bucket("papers")
    assert [rule["action"]["type"] for rule in found.lifecycle_rules] == ["SetStorageClass", "Delete"]
    assert found.iam_configuration.uniform_bucket_level_access_enabled
    assert found.iam_configuration.public_access_prevention == "enforced"
    found.labels = {"team": "billing"}
    found.patch()
    assert client.get_bucket("papers").labels == {"team": "billing"}
    assert client.get_bucket("papers").cors == bucket.cors
    assert found.metageneration == 3


def test_an_update_removes_what_it_does_not_name(http: httpx.Client, client: Any, bucket: Any) -> None:
    bucket.labels = {"team": "billing"}
    bucket.patch()
    answer = http.put("/storage/v1/b/papers", json={"cors": []})
    assert "labels" not in answer.json()
    assert answer.json()["storageClass"] == "STANDARD"


def test_a_name_is_taken_once_in_the_whole_world(url: str, bucket: Any) -> None:
    with library(url, "another-project") as other, pytest.raises(exceptions.Conflict):
        other.create_bucket("papers")


@pytest.mark.parametrize("name", ["ab", "Upper", "-dash", "dash-", "a..b", "google-paper", "x" * 64, 5])
def test_names_that_google_refuses_are_refused(http: httpx.Client, name: Any) -> None:
    answer = http.post("/storage/v1/b", params={"project": PROJECT}, json={"name": name})
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "invalid")


@pytest.mark.parametrize(
    "setting",
    [
        {"storageClass": "COLD"},
        {"lifecycle": {"rule": [{"action": {"type": "Burn"}, "condition": {"age": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"mood": 1}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "SetStorageClass"}, "condition": {"age": 1}}]}},
        {"retentionPolicy": {"retentionPeriod": "0"}},
        {"retentionPolicy": {"retentionPeriod": "forever"}},
        {"labels": {"team": "BILLING"}},
    ],
)
def test_settings_that_cannot_be_are_refused(http: httpx.Client, bucket: Any, setting: dict[str, Any]) -> None:
    before = http.get("/storage/v1/b/papers").json()
    assert http.patch("/storage/v1/b/papers", json=setting).status_code == 400
    assert http.get("/storage/v1/b/papers").json() == before


def test_what_is_not_implemented_says_so(client: Any, bucket: Any) -> None:
    bucket.versioning_enabled = True
    with pytest.raises(exceptions.MethodNotImplemented, match="versioning"):
        bucket.patch()


def test_a_bucket_is_changed_and_deleted_under_conditions(client: Any, bucket: Any) -> None:
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.patch(if_metageneration_match=7)
    with pytest.raises(exceptions.PreconditionFailed):
        client.get_bucket("papers", if_metageneration_match=7)
    bucket.blob("a").upload_from_string("a")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    bucket.delete(force=True)
    with pytest.raises(exceptions.NotFound):
        client.get_bucket("papers")
    assert client.lookup_bucket("papers") is None


def test_retention_protects_objects_until_their_day(tmp_path: Path) -> None:
    with running(tmp_path, at=NOW) as url, library(url) as client:
        bucket = client.create_bucket("papers")
        blob = bucket.blob("invoice")
        blob.upload_from_string("one")  # before there is a policy: it counts for what is there, too
        bucket.retention_period = 86_400
        bucket.patch()
        assert client.get_bucket("papers").retention_policy_effective_time == NOW
        blob.reload()
        assert blob.retention_expiration_time == NOW + timedelta(days=1)
        attempts = [
            blob.delete,
            lambda: bucket.blob("invoice").upload_from_string("two"),
            lambda: bucket.copy_blob(bucket.get_blob("other"), bucket, "invoice"),
            lambda: bucket.blob("invoice").compose([bucket.blob("other")]),
        ]
        bucket.blob("other").upload_from_string("other")
        for attempt in attempts:
            with pytest.raises(exceptions.Forbidden, match=r"retention policy .* until 2026-11-25T06:30:00"):
                attempt()
        answer = httpx.delete(f"{url}/storage/v1/b/papers/o/invoice")
        assert answer.json()["error"]["errors"][0]["reason"] == "retentionPolicyNotMet"
        blob.metadata = {"seen": "yes"}
        blob.patch()  # metadata is not protected
        assert bucket.blob("invoice").download_as_bytes() == b"one"
    with running(tmp_path, at=NOW + timedelta(days=1)) as url, library(url) as client:
        client.bucket("papers").blob("invoice").delete()


def test_a_retention_policy_can_be_removed(client: Any, bucket: Any) -> None:
    bucket.retention_period = 60
    bucket.patch()
    effective = client.get_bucket("papers").retention_policy_effective_time
    bucket.labels = {"a": "b"}
    bucket.patch()
    assert client.get_bucket("papers").retention_policy_effective_time == effective
    blob = bucket.blob("a")
    blob.upload_from_string("a")
    bucket.retention_period = None
    bucket.patch()
    blob.delete()
    assert client.get_bucket("papers").retention_period is None
