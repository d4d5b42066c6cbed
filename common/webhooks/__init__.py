"""What providers send: verifying it, naming it, reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.webhooks.models import WebhookEvent
    from common.webhooks.verification import verify_webhook

_MODULES = {"WebhookEvent": "models", "verify_webhook": "verification"}

__all__ = ["WebhookEvent", "verify_webhook"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
