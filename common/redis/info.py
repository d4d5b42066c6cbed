"""What INFO says, read with care: which fields it has differs between servers, and Upstash documents none of theirs.

Upstash takes one section at a time and answers an unknown one with its heading (its page on INFO, August 2026), so
sections are asked for one by one, and whatever is missing or no number is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.errors import RaptorFlowError


@dataclass(frozen=True, slots=True)
class Section:
    """One section of INFO.

    Attributes:
        fields: names and values, as the server wrote them.
        problem: why there are none; empty where there are.

    Example:
        >>> Section.read("memory", "used_memory:1024").number("used_memory")
        1024
    """

    fields: dict[str, str]
    problem: str = ""

    @classmethod
    def read(cls, name: str, reply: Any) -> Section:
        """From the answer to ``INFO name``, or from the error that came instead of it."""
        if isinstance(reply, RaptorFlowError):
            return cls({}, f"INFO {name} failed: {reply}")
        fields = {}
        for line in str(reply).splitlines():
            field, separator, value = line.partition(":")
            if separator and not line.startswith("#"):
                fields[field.strip()] = value.strip()
        return cls(fields, "" if fields else f"INFO {name} says nothing")

    def number(self, field: str) -> int | None:
        """A whole number that is not negative, or None."""
        return whole(self.fields.get(field, ""))


def whole(text: str) -> int | None:
    """A whole number of less than 20 digits that is not negative, or None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def keys_of(size: Any) -> int | None:
    """The answer to DBSIZE, or None."""
    return size if isinstance(size, int) else None


def size_problem(size: Any) -> str:
    """Why there is no number of keys; empty where there is one."""
    return "" if isinstance(size, int) else f"DBSIZE failed: {size}"
