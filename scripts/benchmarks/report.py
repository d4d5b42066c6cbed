"""A figure, what it is compared with, and what it should be."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        id: of the target, ``P8``.
        what: was measured.
        ours: the median.
        peer: the comparison's median in the same run; None where the target is absolute.
        unit: of both.
        ratio: the median of each round's ours / peer; ``ours`` itself where there is no peer.
        target: that ``ratio`` should stay at or below.
        against: what the peer is.
        at_least: ``ratio`` should be at or above the target instead.
    """

    id: str
    what: str
    ours: float
    peer: float | None
    unit: str
    ratio: float
    target: float
    against: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is as good as it should be."""
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "met": self.met}


def absolute(id: str, what: str, value: float, unit: str, target: float, against: str = "") -> Row:  # noqa: A002
    """A row without a comparison."""
    return Row(id, what, value, None, unit, value, target, against)


def counted(id: str, what: str, ours: float, peer: float | None, unit: str, target: float, against: str = "") -> Row:  # noqa: A002
    """A row of numbers that are the same in every run; the comparison's is told, the target is absolute."""
    return Row(id, what, ours, peer, unit, ours, target, against)


def compared(
    id: str,  # noqa: A002 - the target's own word
    what: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    unit: str,
    target: float,
    against: str,
) -> Row:
    """A row of interleaved rounds: both medians, and the median of the ratios within each round."""
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
    return Row(id, what, statistics.median(ours), statistics.median(peer), unit, ratio, target, against)


def faster(
    id: str,  # noqa: A002
    what: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    unit: str,
    target: float,
    against: str,
) -> Row:
    """The same where ours should take a fraction: the ratio is peer / ours, and should be at least the target."""
    ratio = statistics.median(theirs / mine for mine, theirs in zip(ours, peer, strict=True))
    medians = (statistics.median(ours), statistics.median(peer))
    return Row(id, what, *medians, unit, ratio, target, against, at_least=True)


def table(rows: Iterable[Row]) -> Table:
    """What people read."""
    shown = Table(title="ours / comparison, medians of interleaved rounds", title_justify="left")
    for name in ("", "what", "compared with"):
        shown.add_column(name)
    for name in ("ours", "comparison", "unit", "ratio", "target"):
        shown.add_column(name, justify="right")
    for row in rows:
        colour, sign = ("green" if row.met else "red"), ("≥" if row.at_least else "≤")
        shown.add_row(
            row.id,
            row.what,
            row.against,
            f"{row.ours:.4g}",
            "" if row.peer is None else f"{row.peer:.4g}",
            row.unit,
            f"[{colour}]{row.ratio:.3g}[/{colour}]",
            f"{sign} {row.target:.3g}",
        )
    return shown
