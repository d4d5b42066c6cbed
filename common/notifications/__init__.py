"""Telling people: each thing once, whatever is delivered twice."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.notifications.mail import Attachment
    from common.notifications.sending import Notification, Undeliverable, notify

_MODULES = {"Attachment": "mail", "Notification": "sending", "Undeliverable": "sending", "notify": "sending"}

__all__ = ["Attachment", "Notification", "Undeliverable", "notify"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
