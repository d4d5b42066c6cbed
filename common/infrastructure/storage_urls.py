"""What a signed URL may be for, and what an upload may be told: checked before anything is asked."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Literal, get_args

from common.errors import InvalidInput
from common.infrastructure.object_names import check_path

Method = Literal["GET", "HEAD", "PUT"]

MAX_URL_LIFE = timedelta(days=7)
"""Cloud Storage's limit for V4 signatures."""
LENGTH_RANGE = "x-goog-content-length-range"
"""The header with which Cloud Storage bounds the body of a signed PUT.

Source: https://cloud.google.com/storage/docs/xml-api/reference-headers
"""
_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[!-~][ -~]*)?", re.ASCII)


def url_options(
    path: str, expiration: timedelta | float, method: Method, content_type: str, max_bytes: int | None
) -> dict[str, Any]:
    """What the library is told of a URL; the arguments are those of ``generate_signed_url``.

    Raises:
        InvalidInput: one of them cannot be.
    """
    check_path(path)
    seconds = expiration.total_seconds() if isinstance(expiration, timedelta) else expiration
    if not 1 <= seconds <= MAX_URL_LIFE.total_seconds():
        raise InvalidInput("a signed URL is good for one second to seven days")
    if method not in get_args(Method):
        raise InvalidInput(f"a signed URL is for {', '.join(get_args(Method))}")
    options: dict[str, Any] = {"version": "v4", "expiration": int(seconds), "method": method}
    if method != "PUT":
        if content_type or max_bytes is not None:
            raise InvalidInput("content_type and max_bytes are for PUT")
        return options
    _check_content_type(content_type)
    options["content_type"] = content_type
    if max_bytes is not None:
        if max_bytes < 1:
            raise InvalidInput("max_bytes is 1 at least")
        options["headers"] = {LENGTH_RANGE: f"0,{max_bytes}"}
    return options


def upload_options(path: str, content_type: str, *, create_only: bool, generation: int | None) -> dict[str, Any]:
    """What the library is told of an upload; the arguments are those of ``upload_file``.

    Raises:
        InvalidInput: one of them cannot be.
    """
    check_path(path)
    _check_content_type(content_type)
    if create_only and generation is not None:
        raise InvalidInput("create_only and generation exclude each other")
    return {"content_type": content_type, "if_generation_match": 0 if create_only else generation}


def _check_content_type(content_type: str) -> None:
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise InvalidInput(f"not a content type: {content_type!r}")
