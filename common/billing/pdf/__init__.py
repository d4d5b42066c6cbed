"""Tax documents as PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.billing.pdf.document import render

__all__ = ["render"]


def __getattr__(name: str) -> Any:
    if name != "render":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from common.billing.pdf.document import render

    return render
