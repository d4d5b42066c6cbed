"""What the provider refuses, in its words."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

MAX_RECIPIENTS = 50
MAX_BYTES = 40 * 1024 * 1024
MAX_KEY = 256
_ADDRESS = re.compile(r"[^\s@<>,]+@[^\s@<>,]+\.[^\s@<>,]+")
_NAMED = re.compile(r"[^<>\r\n]*<(?P<address>[^<>]+)>")


@dataclass(frozen=True)
class Refused(Exception):  # noqa: N818 - an answer
    """An answer other than success."""

    status: int
    name: str
    message: str

    def body(self) -> dict[str, Any]:
        """What the provider answers."""
        return {"statusCode": self.status, "name": self.name, "message": self.message}


def check_mail(mail: dict[str, Any]) -> None:
    """Check the fields of a mail.

    Raises:
        Refused: 422, with the provider's name of the error.
    """
    for name in ("from", "to", "subject"):
        if not mail.get(name):
            raise Refused(422, "missing_required_field", f"Missing `{name}` field.")
    if not mail.get("html") and not mail.get("text"):
        raise Refused(422, "missing_required_field", "Missing `html` or `text` field.")
    if not _is_address(mail["from"]):
        raise Refused(
            422, "validation_error", "Invalid `from` field. Use `email@example.com` or `Name <email@example.com>`."
        )
    recipients = mail["to"] if isinstance(mail["to"], list) else [mail["to"]]
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise Refused(422, "validation_error", f"The `to` field must have 1 to {MAX_RECIPIENTS} addresses.")
    if not all(_is_address(address) for address in recipients):
        raise Refused(422, "validation_error", "Invalid `to` field.")
    if not isinstance(mail["subject"], str) or re.search(r"[\r\n]", mail["subject"]):
        raise Refused(422, "validation_error", "The `\\n` is not allowed in the `subject` field.")
    _check_attachments(mail.get("attachments") or [])


def check_key(key: str | None) -> None:
    """Check an idempotency key.

    Raises:
        Refused: 400.
    """
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise Refused(400, "invalid_idempotency_key", f"The idempotency key must have 1 to {MAX_KEY} characters.")


def _check_attachments(attachments: Any) -> None:
    total = 0
    for item in attachments if isinstance(attachments, list) else [None]:
        if not isinstance(item, dict) or not item.get("filename") or not isinstance(item.get("content"), str):
            raise Refused(422, "invalid_attachment", "Attachment must have a `filename` and a `content`.")
        try:
            base64.b64decode(item["content"], validate=True)
        except binascii.Error:
            raise Refused(422, "invalid_attachment", "Attachment content is not base64.") from None
        total += len(item["content"])
    if total > MAX_BYTES:
        raise Refused(422, "invalid_attachment", "Attachments are larger than 40 MB.")


def _is_address(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    named = _NAMED.fullmatch(text)
    return _ADDRESS.fullmatch(named["address"] if named else text) is not None
