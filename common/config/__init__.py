"""Settings, secrets and logging; importing this package does not import pydantic."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.config.settings import Environment, Settings, get_settings

__all__ = ["Environment", "Settings", "get_settings"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("common.config.settings"), name)
