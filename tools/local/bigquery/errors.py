"""What BigQuery refuses. Source: https://cloud.google.com/bigquery/docs/error-messages."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class Refused(Exception):  # noqa: N818 - an answer
    """An error answer.

    Attributes:
        status: of HTTP.
        reason: BigQuery's word for it.
        message: for people.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    def detail(self) -> dict[str, Any]:
        """As it stands in a job."""
        return {"reason": self.reason, "message": self.message, "location": "query"}

    def json(self) -> dict[str, Any]:
        """As it stands in an answer."""
        return {"error": {"code": self.status, "message": self.message, "errors": [self.detail()]}}


def not_found(what: str) -> Refused:
    """There is no such dataset, table or job."""
    return Refused(HTTPStatus.NOT_FOUND, "notFound", f"Not found: {what}")


def duplicate(what: str) -> Refused:
    """The name is taken."""
    return Refused(HTTPStatus.CONFLICT, "duplicate", f"Already Exists: {what}")


def invalid(message: str) -> Refused:
    """The request is wrong."""
    return Refused(HTTPStatus.BAD_REQUEST, "invalid", message)


def invalid_query(message: str) -> Refused:
    """The statement is wrong."""
    return Refused(HTTPStatus.BAD_REQUEST, "invalidQuery", message.partition("\n")[0][:500])
