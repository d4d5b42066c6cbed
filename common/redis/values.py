"""What may be stored, and for how long."""

from __future__ import annotations

import json
import math
from typing import Any

from common.redis.errors import InvalidTTL, InvalidValue

MAX_VALUE_BYTES = 1_000_000
"""Of one value; large ones belong into Cloud Storage, with a pointer here."""

MAX_TTL_SECONDS = 10 * 366 * 86_400


def to_json(value: Any, what: str, *, limit: int = MAX_VALUE_BYTES) -> str:
    """``value`` as compact JSON that reads back equal.

    Args:
        value: of JSON's types; keys of objects are text.
        what: names it in the error, ``"a job's data"``.
        limit: bytes that it may have.

    Raises:
        InvalidValue: it has something that is not JSON, such as NaN or a key that is no text, or it is too large.

    Example:
        >>> to_json({"a": [1, None]}, "a value")
        '{"a":[1,null]}'
    """
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
        equal = json.loads(text) == value
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"{what} must be JSON ({error})") from None
    if not equal:
        raise InvalidValue(f"{what} must be JSON: lists rather than tuples, and text as the keys of objects")
    if size > limit:
        raise InvalidValue(
            f"{what} may have at most {limit} bytes, this has {size}: store it elsewhere, a pointer here"
        )
    return text


def milliseconds(seconds: float, what: str = "a time to live") -> int:
    """Seconds as Redis's milliseconds, rounded up.

    Raises:
        InvalidTTL: it is not a positive, finite number within ten years.
    """
    if type(seconds) not in {int, float} or not math.isfinite(seconds):
        raise InvalidTTL(f"{what} must be a finite number of seconds")
    if not 0 < seconds <= MAX_TTL_SECONDS:
        raise InvalidTTL(f"{what} must be more than 0 and at most {MAX_TTL_SECONDS} seconds, not {seconds}")
    return math.ceil(seconds * 1000)
