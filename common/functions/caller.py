"""Which identity called.

Google's front end verifies the caller's OIDC token and forwards it with the signature removed; only functions that the
manifest calls public are open to everyone. So the runtime reads the claims, without fetching keys on the request path,
and compares the e-mail with the one identity that this function's trigger uses. The local gateway plays the front end.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from typing import TYPE_CHECKING

from common.errors import InvalidInput
from common.functions.jsonbody import parse_object
from common.functions.outcomes import Rejected

if TYPE_CHECKING:
    from starlette.datastructures import Headers

log = logging.getLogger(__name__)


def admit(headers: Headers, *, only_trigger: bool) -> str:
    """The e-mail of the caller.

    Args:
        headers: the request's.
        only_trigger: admit nobody but the identity named by ``INVOKER_EMAIL``, which this function's trigger uses.

    Raises:
        Rejected: 401 without a readable bearer token, 403 for another identity or where none is configured.
    """
    tokens = [value for value in headers.getlist("authorization") if value.lower().startswith("bearer ")]
    if len(tokens) != 1:
        raise Rejected(401, "one bearer token is needed")
    email = _email(tokens[0].split(" ", 1)[1].strip())
    if only_trigger:
        expected = os.environ.get("INVOKER_EMAIL", "")
        if not expected:
            log.error("INVOKER_EMAIL is not set: every call is refused")
        if not expected or email != expected:
            raise Rejected(403, "this caller is not admitted")
    return email


def _email(token: str) -> str:
    parts = token.split(".")
    try:
        claims = parse_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, binascii.Error, ValueError, InvalidInput):
        raise Rejected(401, "the bearer token is malformed") from None
    email = claims.get("email")
    if not isinstance(email, str) or not email or claims.get("email_verified") is not True:
        raise Rejected(401, "the bearer token names no verified e-mail")
    return email
