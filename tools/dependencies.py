"""Which dependency group of ``pyproject.toml`` an import needs.

A function installs the groups whose packages it imports and nothing else, so an import without a group is an error, and
so is a group that is not for functions.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from tools.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tools.imports import ThirdParty

DISTRIBUTIONS = {
    # What cannot be read off the name. Every Google client brings grpc, auth and protobuf along.
    "fpdf": "fpdf2",
    "google.api_core": "google-cloud-pubsub",
    "google.auth": "google-cloud-pubsub",
    "google.oauth2": "google-cloud-pubsub",
    "google.cloud.secretmanager_v1": "google-cloud-secret-manager",
    "google.protobuf": "google-cloud-pubsub",
    "google.pubsub_v1": "google-cloud-pubsub",
    "grpc": "google-cloud-pubsub",
    "opentelemetry": "opentelemetry-api",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry.sdk": "opentelemetry-sdk",
}
"""Import name to the distribution that provides it; of several prefixes the longest counts."""

CLIENTS = {"redis": "redis", "psycopg": "postgres", "psycopg-pool": "postgres", "httpx": "http"}
"""Distribution to the service that it talks to; a ``google-cloud-…`` one is called by the rest of its name."""

DEVELOPMENT = frozenset({"local", "dev"})
"""Groups that are never deployed."""
RESERVED = {"scheduler": "common.jobs.scheduler"}
"""Groups that one module only may use."""

_VERSION = re.compile(r"_v[0-9]\w*$")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Dependencies:
    """The groups of one ``pyproject.toml``."""

    def __init__(self, groups: Mapping[str, Iterable[str]]) -> None:
        self._groups: dict[str, list[str]] = {}
        for group, distributions in sorted(groups.items()):
            for distribution in distributions:
                self._groups.setdefault(distribution, []).append(group)

    @classmethod
    def from_pyproject(cls, path: Path) -> Dependencies:
        """Read the first-level requirements of ``[dependency-groups]``.

        Raises:
            OSError: there is no such file.
            tomllib.TOMLDecodeError: it is not TOML.
        """
        groups = tomllib.loads(path.read_text(encoding="utf-8")).get("dependency-groups", {})
        return cls(
            {
                group: [_normalised(item) for item in requirements if isinstance(item, str)]
                for group, requirements in groups.items()
            }
        )

    def group(self, item: ThirdParty) -> str | Problem:
        """The group that ``item`` needs, or why it must not be imported."""
        distribution = distribution_of(item.name)
        groups = self._groups.get(distribution, [])
        deployed = [group for group in groups if group not in DEVELOPMENT]
        if not groups:
            text = (
                f"imports {item.name}, but no dependency group of pyproject.toml has {distribution}; "
                f"add it to the group {client_of(item.name) or distribution!r} and run `make lock`."
            )
        elif not deployed:
            text = f"imports {item.name} of the group {groups[0]}, which is not deployed; use a deployed group."
        elif deployed[0] in RESERVED and item.module != RESERVED[deployed[0]]:
            text = f"imports {item.name} of the group {deployed[0]}; only {RESERVED[deployed[0]]} may."
        else:
            return deployed[0]
        return Problem(item.path, item.line, text)


def distribution_of(name: str) -> str:
    """The distribution that provides the import ``name``.

    Example:
        >>> distribution_of("google.cloud.pubsub_v1.types")
        'google-cloud-pubsub'
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in DISTRIBUTIONS:
            return DISTRIBUTIONS[prefix]
    if parts[:2] == ["google", "cloud"]:
        return "-".join(["google", "cloud", *(_normalised(_VERSION.sub("", part)) for part in parts[2:3])])
    return _normalised(parts[0])


def client_of(name: str) -> str | None:
    """The service that the import ``name`` talks to, None for a library that talks to none."""
    distribution = distribution_of(name)
    return CLIENTS.get(distribution) or distribution.partition("google-cloud-")[2] or None


def _normalised(requirement: str) -> str:
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""
