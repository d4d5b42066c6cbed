"""What PhonePe refuses, and how it says so."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.local.environment import Secrets

TOKEN_SECONDS = 3600
MINIMUM_AMOUNT = 100
_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,63}")
_EXPIRE_AFTER = range(300, 3601)
_LONGEST_UDF = {f"udf{number}": 256 if number <= 10 else 50 for number in range(1, 16)}
_NARROW_UDF = re.compile(r"[A-Za-z0-9_\-+@. ]*")


class Refused(Exception):  # noqa: N818 - an answer
    """An error answer.

    Attributes:
        status: of HTTP.
        code: PhonePe's.
        message: PhonePe's.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"success": False, "code": self.code, "message": self.message}


def bad_request(message: str) -> Refused:
    """The request is not what the reference describes."""
    return Refused(400, "BAD_REQUEST", message)


def unknown_order() -> Refused:
    """PhonePe's words for an order id that it does not know."""
    return Refused(404, "INVALID_MERCHANT_ORDER_ID", "No entry found for given merchant order id")


class Tokens:
    """Issues and checks the OAuth tokens of one client."""

    def __init__(self, client: Secrets) -> None:
        self._client = client
        self._ends: dict[str, float] = {}

    def issue(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """A token for client credentials.

        Raises:
            Refused: 400 for a wrong form, 401 for wrong credentials.
        """
        missing = [
            name for name in ("client_id", "client_version", "client_secret", "grant_type") if not form.get(name)
        ]
        if missing:
            raise bad_request(f"missing: {', '.join(missing)}")
        if form["grant_type"] != "client_credentials":
            raise bad_request("grant_type must be client_credentials")
        known = form["client_id"] == self._client.phonepe_client_id and form["client_version"] == "1"
        if not known or not secrets.compare_digest(
            str(form["client_secret"]).encode(), self._client.phonepe_client_secret.encode()
        ):
            raise Refused(401, "UNAUTHORIZED", "Client authentication failed")
        issued, token = int(time.time()), secrets.token_urlsafe(32)
        self._ends[token] = issued + TOKEN_SECONDS
        return {
            "access_token": token,
            "encrypted_access_token": token,
            "expires_in": None,  # as PhonePe answers: expires_at is what counts
            "issued_at": issued,
            "expires_at": issued + TOKEN_SECONDS,
            "session_expires_at": issued + TOKEN_SECONDS,
            "token_type": "O-Bearer",
        }

    def check(self, authorization: str) -> None:
        """Whether a header is ``O-Bearer`` and a token that we issued.

        Raises:
            Refused: 401 if not, or if the token has expired.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme != "O-Bearer" or self._ends.get(token, 0.0) <= time.time():
            raise Refused(401, "AUTHORIZATION_FAILED", "Authorization failed: the token is missing, unknown or expired")

    def expire(self) -> None:
        """End all tokens now."""
        self._ends.clear()


def check_payment(request: Mapping[str, Any]) -> None:
    """Check the body of ``/checkout/v2/pay``.

    Raises:
        Refused: 400, naming the field.
    """
    order_id, amount = request.get("merchantOrderId"), request.get("amount")
    if not isinstance(order_id, str) or not _ORDER_ID.fullmatch(order_id):
        raise bad_request("merchantOrderId: at most 63 letters, digits, _ and -")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < MINIMUM_AMOUNT:
        raise bad_request(f"amount: a whole number of paise, at least {MINIMUM_AMOUNT}")
    if request.get("expireAfter") is not None and request["expireAfter"] not in _EXPIRE_AFTER:
        raise bad_request(f"expireAfter: {_EXPIRE_AFTER.start} to {_EXPIRE_AFTER.stop - 1} seconds")
    flow = request.get("paymentFlow")
    if not isinstance(flow, dict) or flow.get("type") != "PG_CHECKOUT":
        raise bad_request("paymentFlow.type: PG_CHECKOUT")
    if not isinstance(flow.get("merchantUrls"), dict) or not flow["merchantUrls"].get("redirectUrl"):
        raise bad_request("paymentFlow.merchantUrls.redirectUrl is missing")
    _check_meta_info(request.get("metaInfo") or {})


def _check_meta_info(info: Any) -> None:
    if not isinstance(info, dict) or not info.keys() <= _LONGEST_UDF.keys():
        raise bad_request("metaInfo: udf1 to udf15")
    for name, value in info.items():
        if not isinstance(value, str) or len(value) > _LONGEST_UDF[name]:
            raise bad_request(f"metaInfo.{name}: text of at most {_LONGEST_UDF[name]} characters")
        if _LONGEST_UDF[name] == 50 and not _NARROW_UDF.fullmatch(value):
            raise bad_request(f"metaInfo.{name}: letters, digits and _-+@. only")
