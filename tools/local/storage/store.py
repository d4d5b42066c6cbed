"""Buckets and objects on disk; what was acknowledged is there after a restart.

    <folder>/uploads/                         what is still coming, emptied at every start
    <folder>/buckets/<bucket>/bucket.json
    <folder>/buckets/<bucket>/<key>.json      an object's resource; its generation names the file below
    <folder>/buckets/<bucket>/<key>.<generation>

``<key>`` is a hash, since an object's name may be longer than a file's. A file is written beside its place and moved
there, and the resource is moved last: before that nothing has happened, after it everything has. All methods run on
the event loop and do not wait, so no two overlap.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from common import clock
from tools.local.storage.content import Content
from tools.local.storage.errors import Refused, not_found
from tools.local.storage.names import Conditions, check_bucket_name, check_object_name
from tools.local.storage.resources import retained_until, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ANYTHING = Conditions()
Resource = dict[str, Any]


@dataclass
class Bucket:
    """A bucket and its live objects.

    Attributes:
        folder: where both are kept.
        project: whose bucket it is.
        resource: its settings, see `tools.local.storage.resources`.
        objects: resources by name.
    """

    folder: Path
    project: str
    resource: Resource
    objects: dict[str, Resource] = field(default_factory=dict)

    def data(self, item: Mapping[str, Any]) -> Path:
        """The file with an object's bytes; it never changes, and a reader that has opened it keeps it."""
        return self.folder / f"{_key(item['name'])}.{item['generation']}"

    def resource_file(self, name: str) -> Path:
        """The file with an object's resource."""
        return self.folder / f"{_key(name)}.json"


class Store:
    """Everything under one folder.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._buckets = folder / "buckets"
        self._uploads = folder / "uploads"
        shutil.rmtree(self._uploads, ignore_errors=True)
        for made in (self._buckets, self._uploads):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._known = {path.parent.name: _read(path.parent) for path in sorted(self._buckets.glob("*/bucket.json"))}
        generations = (int(item["generation"]) for bucket in self._known.values() for item in bucket.objects.values())
        self._generation = max(generations, default=0)

    def new_content(self) -> Content:
        """Room for the bytes of an object to be."""
        return Content(self._uploads)

    # --- buckets

    def buckets(self, project: str) -> list[Bucket]:
        """Those of one project, by name."""
        return [bucket for _, bucket in sorted(self._known.items()) if bucket.project == project]

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name.

        Raises:
            Refused: 404.
        """
        if name not in self._known:
            raise Refused(HTTPStatus.NOT_FOUND, "notFound", "The specified bucket does not exist.")
        return self._known[name]

    def create_bucket(self, project: str, resource: Resource) -> Bucket:
        """Create one.

        Raises:
            Refused: 400 for its name, 409 if there is one of that name in any project.
        """
        name = check_bucket_name(resource.get("name"))
        if name in self._known:
            raise Refused(HTTPStatus.CONFLICT, "conflict", "The requested bucket name is not available.")
        bucket = Bucket(self._buckets / name, project, {})
        bucket.folder.mkdir(mode=0o700, exist_ok=True)
        now = timestamp(clock.now())
        self.save_bucket(bucket, resource | {"metageneration": "0", "timeCreated": now})
        self._known[name] = bucket
        return bucket

    def save_bucket(self, bucket: Bucket, resource: Resource) -> None:
        """Give a bucket other settings."""
        resource |= {
            "metageneration": str(int(resource["metageneration"]) + 1),
            "updated": timestamp(clock.now()),
        }
        self._write(bucket.folder / "bucket.json", {"project": bucket.project, "resource": resource})
        bucket.resource = resource

    def delete_bucket(self, name: str) -> None:
        """Delete an empty one.

        Raises:
            Refused: 404, 409 if it has objects.
        """
        bucket = self.bucket(name)
        if bucket.objects:
            raise Refused(HTTPStatus.CONFLICT, "conflict", "The bucket you tried to delete is not empty.")
        shutil.rmtree(bucket.folder)
        del self._known[name]

    # --- objects

    def find(self, bucket: Bucket, name: str, generation: str | None = None) -> Resource:
        """The live object of that name, if it is of that generation.

        Raises:
            Refused: 404.
        """
        item = bucket.objects.get(name)
        if item is None or generation not in {None, item["generation"]}:
            raise not_found(f"No such object: {bucket.resource['name']}/{name}")
        return item

    def commit(
        self,
        bucket: Bucket,
        name: str,
        content: Content,
        fields: Resource,
        conditions: Conditions = _ANYTHING,
    ) -> Resource:
        """Make ``content`` the object ``name``, or leave everything as it was.

        Raises:
            Refused: 400, 412, or 403 where retention forbids to overwrite what is there.
        """
        check_object_name(name)
        current = bucket.objects.get(name)
        conditions.check(current)
        if current is not None:
            self._check_retention(bucket, current)
        now, checksums = clock.now(), content.checksums()
        if "componentCount" in fields:
            del checksums["md5Hash"]  # Google knows none of a composite object
        self._generation = max(self._generation + 1, int(now.timestamp() * 1_000_000))
        item: Resource = {
            "contentType": "application/octet-stream",
            **checksums,
            **fields,
            "name": name,
            "generation": str(self._generation),
            "metageneration": "1",
            "size": str(content.size),
            "storageClass": bucket.resource["storageClass"],
            "timeCreated": timestamp(now),
            "timeStorageClassUpdated": timestamp(now),
            "updated": timestamp(now),
        }
        content.close()
        content.path.replace(bucket.data(item))
        self._write(bucket.resource_file(name), item)
        bucket.objects[name] = item
        if current is not None:
            bucket.data(current).unlink(missing_ok=True)
        return item

    def save(self, bucket: Bucket, item: Resource) -> Resource:
        """Give an object other metadata."""
        item = item | {
            "metageneration": str(int(item["metageneration"]) + 1),
            "updated": timestamp(clock.now()),
        }
        self._write(bucket.resource_file(item["name"]), item)
        bucket.objects[item["name"]] = item
        return item

    def delete(self, bucket: Bucket, item: Resource) -> None:
        """Delete an object.

        Raises:
            Refused: 403 where retention forbids it.
        """
        self._check_retention(bucket, item)
        bucket.resource_file(item["name"]).unlink()
        bucket.data(item).unlink()
        del bucket.objects[item["name"]]

    def _check_retention(self, bucket: Bucket, item: Resource) -> None:
        until = retained_until(bucket.resource, item)
        if until is not None and clock.now() < until:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "retentionPolicyNotMet",
                f"Object '{bucket.resource['name']}/{item['name']}' is subject to bucket's retention policy or object "
                f"retention and cannot be deleted or overwritten until {timestamp(until)}",
            )

    def _write(self, path: Path, resource: Resource) -> None:
        beside = self._uploads / f"{path.parent.name}.{path.name}"
        beside.write_text(json.dumps(resource), "utf-8")
        beside.replace(path)


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _read(folder: Path) -> Bucket:
    stored = json.loads((folder / "bucket.json").read_text("utf-8"))
    bucket = Bucket(folder, stored["project"], stored["resource"])
    for path in folder.glob("*.json"):
        if path.name != "bucket.json":
            item = json.loads(path.read_text("utf-8"))
            bucket.objects[item["name"]] = item
    wanted = {bucket.data(item) for item in bucket.objects.values()}
    for path in folder.iterdir():
        if path.suffix != ".json" and path not in wanted:
            path.unlink()  # its resource never came, or is gone
    return bucket
