"""What Terraform does when deployed: our buckets, with the settings of `storage_config`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from common.infrastructure.gcp import GCPClient
from common.infrastructure.storage_config import BUCKETS, bucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.infrastructure.storage_config import BucketSettings
    from tools.local.wiring import Wiring

_DAY_SECONDS = 86_400


async def wire_buckets(wiring: Wiring) -> list[str]:
    """Make the local Cloud Storage what `storage_config` says; the names of the buckets.

    Safe to repeat: what exists is brought up to date and keeps its objects, and no bucket is ever deleted.

    Raises:
        httpx.HTTPError: it does not answer, or refuses.
    """
    wanted = {bucket(short): settings for short, settings in BUCKETS.items()}
    async with httpx.AsyncClient(base_url=f"{wiring.storage_url}/storage/v1", trust_env=False, timeout=10) as client:
        for name, settings in wanted.items():
            resource = resource_of(settings)
            answer = await client.post("/b", params={"project": wiring.project}, json={**resource, "name": name})
            if answer.status_code == httpx.codes.CONFLICT:
                answer = await client.put(f"/b/{name}", json=resource)
            answer.raise_for_status()
    return sorted(wanted)


def resource_of(settings: BucketSettings) -> dict[str, Any]:
    """The JSON API's bucket for our settings, the same that Terraform makes."""
    rules = [
        _rule({"type": "SetStorageClass", "storageClass": "NEARLINE"}, settings["nearline_after_days"]),
        _rule({"type": "SetStorageClass", "storageClass": "COLDLINE"}, settings["coldline_after_days"]),
        _rule({"type": "Delete"}, settings["delete_after_days"], settings["delete_prefix"]),
    ]
    resource: dict[str, Any] = {
        "location": GCPClient().get_region().upper(),
        "storageClass": "STANDARD",
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        "lifecycle": {"rule": [rule for rule in rules if rule]},
    }
    if settings["retention_days"]:
        resource["retentionPolicy"] = {"retentionPeriod": str(settings["retention_days"] * _DAY_SECONDS)}
    return resource


def _rule(action: Mapping[str, str], days: int, prefix: str = "") -> dict[str, Any]:
    condition = {"age": days, **({"matchesPrefix": [prefix]} if prefix else {})}
    return {"action": dict(action), "condition": condition} if days else {}
