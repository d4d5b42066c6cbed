"""What became of rows that were streamed: those that were refused, and how far it went where a request failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import RaptorFlowError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that BigQuery did not take.

    Attributes:
        index: of the row among those given.
        column: that is wrong, empty where none is named.
        reason: in BigQuery's words.
    """

    index: int
    column: str
    reason: str

    @classmethod
    def of(cls, start: int, answered: Mapping[str, Any]) -> BadRow:
        """From what a request was answered whose first row is row ``start``."""
        first = (answered.get("errors") or [{}])[0]
        reason = first.get("message", "") or first.get("reason", "")
        return cls(start + int(answered["index"]), first.get("location", ""), reason)


class PartlyInserted(RaptorFlowError):  # noqa: N818 - what happened, which is more than an error
    """Rows are in, and then a request failed as a whole; its error, in our words, is the cause.

    Attributes:
        bad: rows before ``answered`` that BigQuery refused.
        answered: rows before this index are in, except for those in ``bad``. Those of the request that failed, from
            here to ``doubtful``, may be in.
        doubtful: rows from this index on were not sent.

    Example:
        >>> try:
        ...     bad = await client.insert_rows("usage_events", rows, id_column="event_id")
        ... except PartlyInserted as error:
        ...     later = rows[error.answered :]  # once more, with the same ids
        ...     bad = error.bad
    """

    def __init__(self, bad: Sequence[BadRow], answered: int, doubtful: int) -> None:
        super().__init__(f"inserting into BigQuery failed after {answered} rows, of which {len(bad)} were refused")
        self.bad = tuple(bad)
        self.answered = answered
        self.doubtful = doubtful
