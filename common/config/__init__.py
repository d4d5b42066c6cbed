"""Settings, secrets and logging; importing this package does not import pydantic."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.config.environment import Environment
    from common.config.settings import Settings, get_settings

__all__ = ["Environment", "Settings", "get_settings"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "environment" if name == "Environment" else "settings"
    return getattr(import_module(f"common.config.{home}"), name)
