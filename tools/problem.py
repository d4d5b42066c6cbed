"""One thing that is wrong in the source, where it stands, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """Printed as ``path:line: text``, which editors and CI make a link of.

    Attributes:
        path: relative to the repository.
        line: from 1.
        text: one sentence of what is wrong and one of advice.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"
