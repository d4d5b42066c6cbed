"""What was true a moment ago, kept in the process so that nobody is asked again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from common import clock

if TYPE_CHECKING:
    from datetime import datetime

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values that hold until a moment; of too many, those used longest ago are forgotten.

    Args:
        capacity: how many.

    Example:
        >>> seen: Remembered[str, str] = Remembered(100)
        >>> seen.put("k", "v", until=clock.now() + timedelta(seconds=5))
        >>> seen.get("k")
        'v'
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[K, tuple[datetime, datetime, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, or None; none either for a clock that was set back: then nothing is known."""
        found = self._values.get(key)
        if found is None:
            return None
        since, until, value = found
        if not since <= clock.now() < until:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V, *, until: datetime) -> None:
        """Remember a value, in the place of an earlier one."""
        self._values[key] = (clock.now(), until, value)
        self._values.move_to_end(key)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Forget a value; nothing where there is none."""
        self._values.pop(key, None)
