"""Checking that a request comes from whoever shares our secret: constant time, on bytes, failing closed."""

from __future__ import annotations

import hashlib
import hmac
import re

_HEX_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def verify_webhook(payload: bytes, signature: str, secret: str) -> bool:
    """Whether ``signature`` is the hexadecimal HMAC-SHA256 of the raw body under ``secret``.

    False, never an exception, for anything else: an empty secret, text that is not hexadecimal, another length.

    Example:
        >>> verify_webhook(
        ...     b"Hello, World!",
        ...     "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ...     "It's a Secret to Everybody",
        ... )
        True
    """
    if not secret or not _HEX_SHA256.fullmatch(signature):
        return False
    expected = hmac.digest(secret.encode(), payload, "sha256")
    return hmac.compare_digest(expected, bytes.fromhex(signature))


def verify_credentials(presented: str, username: str, password: str) -> bool:
    """Whether ``presented`` is the hexadecimal SHA-256 of ``username:password``: PhonePe's "SHA" authorisation.

    It signs neither the body nor the time, so whatever the body claims must be confirmed elsewhere.
    """
    if not username or not password or not _HEX_SHA256.fullmatch(presented):
        return False
    expected = hashlib.sha256(f"{username}:{password}".encode()).digest()
    return hmac.compare_digest(expected, bytes.fromhex(presented))
