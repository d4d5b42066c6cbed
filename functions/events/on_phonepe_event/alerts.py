"""What a person must look at, and events that are given up."""

from __future__ import annotations

import logging
import os

from common.functions import Drop

log = logging.getLogger(__name__)


def alert(reason: str, subject: str) -> None:
    """A line that a person is woken by: the alert policies match ``alert``."""
    log.error("PhonePe event needs a person: %s", reason, extra={"fields": {"alert": reason, "subject": subject}})


def dropped(reason: str, subject: str, detail: str) -> Drop:
    """Alert, and give the event up."""
    alert(reason, subject)
    return Drop(reason, detail)


def is_ours(merchant_id: object) -> bool:
    """Whether PhonePe means us; an answer that names no merchant was asked for with our own token."""
    return not merchant_id or merchant_id == os.environ.get("PHONEPE_MERCHANT_ID", "")
