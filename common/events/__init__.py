"""What happened, told to whoever subscribed: at least once over Pub/Sub, and live over Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.events.bus import EventBus, emit_event
    from common.events.types import Event

_MODULES = {"Event": "types", "EventBus": "bus", "emit_event": "bus"}

__all__ = ["Event", "EventBus", "emit_event"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
