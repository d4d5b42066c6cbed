"""What Cloud Storage refuses, and how its two APIs say so.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes and
https://cloud.google.com/storage/docs/xml-api/reference-status
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

_XML_CODES = {
    "conditionNotMet": "PreconditionFailed",
    "invalid": "InvalidArgument",
    "notFound": "NoSuchKey",
    "notImplemented": "NotImplemented",
    "requestedRangeNotSatisfiable": "InvalidRange",
    "retentionPolicyNotMet": "RetentionPolicyNotMet",
}


class Refused(Exception):  # noqa: N818 - an answer
    """An error answer.

    Attributes:
        status: of HTTP.
        reason: the JSON API's, or the XML API's code.
        message: for people.
        headers: that go with it.
    """

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = headers or {}

    def json(self) -> dict[str, Any]:
        """The JSON API's body."""
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}

    def xml(self) -> bytes:
        """The XML API's body."""
        code = _XML_CODES.get(self.reason, self.reason)
        error = f"<Error><Code>{code}</Code><Message>{escape(self.message)}</Message></Error>"
        return f"<?xml version='1.0' encoding='UTF-8'?>{error}".encode()


def invalid(message: str) -> Refused:
    """The request itself is wrong."""
    return Refused(HTTPStatus.BAD_REQUEST, "invalid", message)


def not_found(what: str) -> Refused:
    """There is no such thing."""
    return Refused(HTTPStatus.NOT_FOUND, "notFound", what)


def precondition_failed() -> Refused:
    """In Google's words."""
    return Refused(
        HTTPStatus.PRECONDITION_FAILED,
        "conditionNotMet",
        "At least one of the pre-conditions you specified did not hold.",
    )


def not_implemented(what: str) -> Refused:
    """Google can, the stand-in cannot."""
    return Refused(HTTPStatus.NOT_IMPLEMENTED, "notImplemented", f"the local Cloud Storage does not implement {what}")
