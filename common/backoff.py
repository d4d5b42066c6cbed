"""How long to pause before the next try, so that those who wait for the same thing do not all come at once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds to pause, without end: at random up to a bound that doubles each time (full jitter).

    Args:
        first: the bound of the first one.
        longest: where the bound stops to grow.

    Example:
        >>> for pause in pauses(0.1, 1):
        ...     if await attempt():
        ...         break
        ...     await asyncio.sleep(pause)
    """
    bound = first
    while True:
        yield random.uniform(0, min(bound, longest))  # noqa: S311 - spreads tries, keeps no secret
        bound = min(bound * 2, longest)
