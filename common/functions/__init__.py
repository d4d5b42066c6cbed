"""The runtime: what turns a plain async function into a deployed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.functions.delivery import Delivery
    from common.functions.endpoints import endpoint, wait_for
    from common.functions.outcomes import Drop, Outcome, Rejected, Retry, Unverified
    from common.functions.request import Request
    from common.functions.serving import serve
    from common.functions.subscriptions import subscribe
    from common.functions.webhooks import webhook

_MODULES = {
    "Delivery": "delivery",
    "Drop": "outcomes",
    "Outcome": "outcomes",
    "Rejected": "outcomes",
    "Request": "request",
    "Retry": "outcomes",
    "Unverified": "outcomes",
    "endpoint": "endpoints",
    "serve": "serving",
    "subscribe": "subscriptions",
    "wait_for": "endpoints",
    "webhook": "webhooks",
}

__all__ = [
    "Delivery",
    "Drop",
    "Outcome",
    "Rejected",
    "Request",
    "Retry",
    "Unverified",
    "endpoint",
    "serve",
    "subscribe",
    "wait_for",
    "webhook",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
