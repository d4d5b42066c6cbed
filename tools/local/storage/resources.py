"""What callers may write into a bucket or an object, and what they then read.

Source: https://cloud.google.com/storage/docs/json_api/v1/buckets#resource and …/objects#resource
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tools.local.storage.errors import invalid, not_implemented

if TYPE_CHECKING:
    from collections.abc import Mapping

BUCKET_FIELDS = frozenset(
    {"cors", "iamConfiguration", "labels", "lifecycle", "retentionPolicy", "softDeletePolicy", "storageClass"}
)
_BUCKET_REFUSED = frozenset({"autoclass", "defaultEventBasedHold", "encryption", "logging", "versioning", "website"})
OBJECT_FIELDS = frozenset(
    {"cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "metadata"}
)
_OBJECT_REFUSED = frozenset({"acl", "contexts", "eventBasedHold", "kmsKeyName", "retention", "temporaryHold"})
_CLASSES = frozenset({"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"})
_ACTIONS = frozenset({"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"})
_CONDITIONS = frozenset(
    {
        "age",
        "createdBefore",
        "customTimeBefore",
        "daysSinceCustomTime",
        "daysSinceNoncurrentTime",
        "isLive",
        "matchesPrefix",
        "matchesStorageClass",
        "matchesSuffix",
        "noncurrentTimeBefore",
        "numNewerVersions",
    }
)
_MAX_METADATA_BYTES = 8 * 1024
_MAX_RETENTION_SECONDS = 3_155_760_000
"""A hundred years."""


def timestamp(instant: datetime) -> str:
    """As the API writes instants, in UTC, to the microsecond."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def merged(current: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``current`` after a PATCH: null removes, objects merge, everything else replaces (RFC 7396)."""
    result = dict(current)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return result


def changed(current: Mapping[str, Any], change: Any, fields: frozenset[str], *, replace: bool) -> dict[str, Any]:
    """``current`` with those ``fields`` that the caller changes; what only Google writes is ignored, as Google does.

    Args:
        current: the resource; what is not in ``fields`` stays.
        change: the request's body.
        fields: that callers may write.
        replace: a PUT, which removes the fields that it does not name.

    Raises:
        Refused: 400, 501.
    """
    if not isinstance(change, dict):
        raise invalid("the body must be a JSON object")
    refused = _BUCKET_REFUSED if fields is BUCKET_FIELDS else _OBJECT_REFUSED
    for name in sorted(refused & change.keys()):
        if change[name] not in (None, False, [], {}, {"enabled": False}):
            raise not_implemented(name)
    kept = {name: value for name, value in current.items() if not (replace and name in fields)}
    result = merged(kept, {name: value for name, value in change.items() if name in fields})
    (_check_bucket if fields is BUCKET_FIELDS else _check_object)(result)
    return result


def with_retention(bucket: dict[str, Any], before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Complete the retention policy: it takes effect now, unless it is the one that was there ``before``.

    Raises:
        Refused: 400, the period is not a number of seconds between 1 and a hundred years.
    """
    policy = bucket.get("retentionPolicy")
    if not policy:
        bucket.pop("retentionPolicy", None)
        return bucket
    period = str(policy.get("retentionPeriod"))
    if not period.isdigit() or not 1 <= int(period) <= _MAX_RETENTION_SECONDS:
        raise invalid(f"Invalid retention period: {period}")
    previous = before.get("retentionPolicy", {})
    effective = previous["effectiveTime"] if previous.get("retentionPeriod") == period else timestamp(now)
    return bucket | {"retentionPolicy": {"retentionPeriod": period, "effectiveTime": effective}}


def retained_until(bucket: Mapping[str, Any], item: Mapping[str, Any]) -> datetime | None:
    """When the bucket's retention policy lets go of an object; None without a policy."""
    if "retentionPolicy" not in bucket:
        return None
    created = datetime.fromisoformat(item["timeCreated"])
    return created + timedelta(seconds=int(bucket["retentionPolicy"]["retentionPeriod"]))


def shown_bucket(bucket: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """As the JSON API shows it."""
    name, tag = bucket["name"], f"{bucket['timeCreated']}/{bucket['metageneration']}"
    return {
        "kind": "storage#bucket",
        "id": name,
        "selfLink": f"{base_url}storage/v1/b/{name}",
        "etag": base64.b64encode(tag.encode()).decode(),
        **bucket,
    }


def shown_object(bucket: Mapping[str, Any], item: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """As the JSON API shows it."""
    path = f"storage/v1/b/{bucket['name']}/o/{quote(item['name'], safe='')}"
    until = retained_until(bucket, item)
    return {
        "kind": "storage#object",
        "id": f"{bucket['name']}/{item['name']}/{item['generation']}",
        "selfLink": f"{base_url}{path}",
        "mediaLink": f"{base_url}download/{path}?generation={item['generation']}&alt=media",
        "bucket": bucket["name"],
        "etag": etag(item),
        **item,
        **({"retentionExpirationTime": timestamp(until)} if until else {}),
    }


def etag(item: Mapping[str, Any]) -> str:
    """Changes whenever the object or its metadata does."""
    return base64.b64encode(f"{item['generation']}/{item['metageneration']}".encode()).decode()


def _check_bucket(bucket: Mapping[str, Any]) -> None:
    if bucket.get("storageClass", "STANDARD") not in _CLASSES:
        raise invalid(f"Invalid storage class: {bucket['storageClass']!r}")
    for rule in bucket.get("lifecycle", {}).get("rule", []):
        action, condition = rule.get("action", {}), rule.get("condition", {})
        if action.get("type") not in _ACTIONS or not condition or condition.keys() - _CONDITIONS:
            raise invalid(f"Invalid lifecycle rule: {rule}")
        if action["type"] == "SetStorageClass" and action.get("storageClass") not in _CLASSES:
            raise invalid(f"Invalid lifecycle rule: {rule}")
    for name, value in bucket.get("labels", {}).items():
        if not isinstance(value, str) or len(name) > 63 or len(value) > 63 or value != value.lower():
            raise invalid(f"Invalid label: {name!r}")


def _check_object(item: Mapping[str, Any]) -> None:
    metadata = item.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise invalid("metadata must be texts by name")
    if sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) > _MAX_METADATA_BYTES:
        raise invalid(f"metadata may have at most {_MAX_METADATA_BYTES} bytes")
    others = {name: item[name] for name in OBJECT_FIELDS - {"metadata"} if name in item}
    for name, value in others.items():
        if not isinstance(value, str) or "\r" in value or "\n" in value:
            raise invalid(f"Invalid value for {name}")
