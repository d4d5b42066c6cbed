"""The buckets that Terraform makes when deployed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from common.infrastructure.storage_config import BUCKETS
from tools.local.buckets import wire_buckets
from tools.local.wiring import Wiring


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")


def wiring(url: str) -> Wiring:
    return Wiring(host="", project="p", base_url="", invoker="", storage_url=url)


async def test_every_bucket_is_made_with_its_settings(url: str, client: Any) -> None:
    assert await wire_buckets(wiring(url)) == [f"p-{name}" for name in sorted(BUCKETS)]
    found = {name: client.get_bucket(f"p-{name}") for name in BUCKETS}
    for bucket in found.values():
        assert bucket.location == "ASIA-SOUTH1"
        assert bucket.iam_configuration.uniform_bucket_level_access_enabled
        assert bucket.iam_configuration.public_access_prevention == "enforced"
    assert timedelta(seconds=found["invoices"].retention_period) == timedelta(days=2922)
    assert [list(found[name].lifecycle_rules) for name in ("invoices", "assets")] == [[], []]
    (rule,) = found["exports"].lifecycle_rules
    assert rule == {"action": {"type": "Delete"}, "condition": {"age": 7, "matchesPrefix": ["exports/"]}}
    assert [rule["action"]["type"] for rule in found["evidence"].lifecycle_rules] == ["SetStorageClass"] * 2


async def test_wiring_again_repairs_settings_and_keeps_objects(url: str, client: Any) -> None:
    await wire_buckets(wiring(url))
    invoices = client.get_bucket("p-invoices")
    effective = invoices.retention_policy_effective_time
    invoices.blob("a").upload_from_string("a")
    exports = client.get_bucket("p-exports")
    exports.lifecycle_rules = []
    exports.patch()
    await wire_buckets(wiring(url))
    assert invoices.blob("a").download_as_bytes() == b"a"
    assert client.get_bucket("p-invoices").retention_policy_effective_time == effective
    assert len(list(client.get_bucket("p-exports").lifecycle_rules)) == 1


async def test_a_bucket_may_have_another_name(url: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOICES_BUCKET", "tax-papers")
    monkeypatch.setenv("ASSETS_BUCKET", "")
    assert await wire_buckets(wiring(url)) == ["p-assets", "p-evidence", "p-exports", "tax-papers"]
    assert {bucket.name for bucket in client.list_buckets(project="p")} == {
        "p-assets",
        "p-evidence",
        "p-exports",
        "tax-papers",
    }
