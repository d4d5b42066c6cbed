"""V4 signatures of URLs, checked as Google checks them.

Source: https://cloud.google.com/storage/docs/authentication/canonical-requests and …/authentication/signatures
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tools.local.storage.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.local.storage.account import Account

ALGORITHM = "GOOG4-RSA-SHA256"
MAX_SECONDS = 604_800
"""Seven days."""
MAX_SKEW = timedelta(minutes=15)
_PARAMETERS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")


def verify(
    account: Account, method: str, path: str, query: str, headers: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """Whether ``account`` signed this request, and for this moment; the parameters that are not the signature's.

    Args:
        account: the only one that may sign.
        method: of the request.
        path: as it came, percent-encoded.
        query: as it came.
        headers: with lower-case names, the values of one name joined with commas.
        now: the moment.

    Raises:
        Refused: 400 for a malformed or expired signature, 403 for a wrong or missing one.
    """
    parameters = parse_qsl(query, keep_blank_values=True)
    given = {name.removeprefix("X-Goog-"): value for name, value in parameters if name.startswith("X-Goog-")}
    if "Signature" not in given:
        raise Refused(HTTPStatus.FORBIDDEN, "AccessDenied", "Anonymous caller does not have access to the object.")
    if any(name not in given for name in _PARAMETERS) or given["Algorithm"] != ALGORITHM:
        raise _malformed(f"a {ALGORITHM} signature needs {', '.join(_PARAMETERS)}, each with X-Goog- before it")
    _check_time(given, now)
    signed = given["SignedHeaders"].split(";")
    _check_headers(signed, headers)
    email, _, scope = given["Credential"].partition("/")
    if scope != f"{given['Date'][:8]}/auto/storage/goog4_request":
        raise _malformed("X-Goog-Credential must end in the date and /auto/storage/goog4_request")
    canonical = "\n".join(
        [
            method,
            path,
            _canonical_query(parameters),
            "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed),
            given["SignedHeaders"],
            headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )
    text = "\n".join([ALGORITHM, given["Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    if not _is_signed(account, text, given["Signature"]) or email != account.email:
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "SignatureDoesNotMatch",
            "Access denied. The request signature we calculated does not match the signature you provided.",
        )
    return {name: value for name, value in parameters if not name.startswith("X-Goog-")}


def _check_time(given: Mapping[str, str], now: datetime) -> None:
    try:
        signed = datetime.strptime(given["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        seconds = int(given["Expires"])
    except ValueError as error:
        raise _malformed("X-Goog-Date or X-Goog-Expires is malformed") from error
    if not 1 <= seconds <= MAX_SECONDS:
        raise _malformed(f"X-Goog-Expires must be between 1 and {MAX_SECONDS} seconds")
    if signed > now + MAX_SKEW:
        raise Refused(HTTPStatus.FORBIDDEN, "RequestTimeTooSkewed", "X-Goog-Date lies in the future.")
    if now > signed + timedelta(seconds=seconds):
        raise Refused(HTTPStatus.BAD_REQUEST, "ExpiredToken", "The provided token has expired.")


def _check_headers(signed: list[str], headers: Mapping[str, str]) -> None:
    if "host" not in signed:
        raise _malformed("the host must be among X-Goog-SignedHeaders")
    unsigned = {name for name in headers if name.startswith("x-goog-")} - set(signed)
    if unsigned or any(name not in headers for name in signed):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "MalformedSecurityHeader",
            "Every signed header must be sent, and every x-goog- header must be signed.",
        )


def _canonical_query(parameters: list[tuple[str, str]]) -> str:
    return "&".join(
        sorted(
            f"{quote(name, safe='~')}={quote(value, safe='~')}"
            for name, value in parameters
            if name != "X-Goog-Signature"
        )
    )


def _is_signed(account: Account, text: str, signature: str) -> bool:
    try:
        account.public_key.verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):  # ValueError: it is not hexadecimal
        return False
    return True


def _malformed(message: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "AuthorizationQueryParametersError", message)
