"""The names of buckets and objects, and the conditions that a request may put."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tools.local.storage.errors import Refused, invalid, precondition_failed

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
MAX_NAME_BYTES = 1024


def check_bucket_name(name: Any) -> str:
    """A name that Google would accept.

    Source: https://cloud.google.com/storage/docs/buckets#naming

    Raises:
        Refused: 400.
    """
    if not isinstance(name, str) or not _BUCKET.fullmatch(name) or name.startswith("goog") or ".." in name:
        raise invalid(f"Invalid bucket name: {name!r}")
    return name


def check_object_name(name: Any) -> str:
    """A name that Google would accept.

    Source: https://cloud.google.com/storage/docs/objects#naming

    Raises:
        Refused: 400.
    """
    if not isinstance(name, str) or not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
        raise invalid(f"an object's name has 1 to {MAX_NAME_BYTES} bytes")
    if name in {".", ".."} or "\r" in name or "\n" in name or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Invalid object name: {name!r}")
    return name


@dataclass(frozen=True, slots=True)
class Conditions:
    """Preconditions on what is there now; None asks for nothing. Generation 0 means that nothing is there.

    Source: https://cloud.google.com/storage/docs/request-preconditions
    """

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    @classmethod
    def of_query(cls, query: Mapping[str, str], prefix: str = "if") -> Conditions:
        """From the JSON API's parameters; those of a copy's source start with ``ifSource``.

        Raises:
            Refused: 400, one is not a number.
        """
        return cls(
            _number(query, f"{prefix}GenerationMatch"),
            _number(query, f"{prefix}GenerationNotMatch"),
            _number(query, f"{prefix}MetagenerationMatch"),
            _number(query, f"{prefix}MetagenerationNotMatch"),
        )

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Conditions:
        """From the XML API's headers.

        Raises:
            Refused: 400, one is not a number.
        """
        return cls(
            generation_match=_number(headers, "x-goog-if-generation-match"),
            metageneration_match=_number(headers, "x-goog-if-metageneration-match"),
        )

    def check(self, current: Mapping[str, Any] | None, *, reading: bool = False) -> None:
        """Whether they hold for the resource that is there now, or for its absence.

        Raises:
            Refused: 412; 304 where a read names what the reader has already.
        """
        generation = int((current or {}).get("generation", 0))
        metageneration = int((current or {}).get("metageneration", 0))
        if self.generation_match not in {None, generation} or self.metageneration_match not in {None, metageneration}:
            raise precondition_failed()
        unchanged = self.generation_not_match == generation or (
            current is not None and self.metageneration_not_match == metageneration
        )
        if unchanged and reading:
            raise Refused(HTTPStatus.NOT_MODIFIED, "notModified", "Not Modified")
        if unchanged:
            raise precondition_failed()


def _number(source: Mapping[str, str], name: str) -> int | None:
    value = source.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit():
        raise invalid(f"Invalid value for {name}: {value!r}")
    return int(value)
