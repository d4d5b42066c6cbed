"""The runtime: what turns a plain async function into a deployed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.functions.delivery import Delivery
    from common.functions.endpoint import endpoint, wait_for
    from common.functions.outcomes import Drop, Outcome, Rejected, Retry
    from common.functions.request import Request
    from common.functions.serve import serve
    from common.functions.subscribe import subscribe
    from common.functions.webhook import webhook

_MODULES = {
    "Delivery": "delivery",
    "Drop": "outcomes",
    "Outcome": "outcomes",
    "Rejected": "outcomes",
    "Request": "request",
    "Retry": "outcomes",
    "endpoint": "endpoint",
    "serve": "serve",
    "subscribe": "subscribe",
    "wait_for": "endpoint",
    "webhook": "webhook",
}

__all__ = [
    "Delivery",
    "Drop",
    "Outcome",
    "Rejected",
    "Request",
    "Retry",
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
