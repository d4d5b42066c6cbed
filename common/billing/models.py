"""What a tax document shows. Everything is integer paise; a document never depends on anything that is not in here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal

Kind = Literal["invoice", "credit_note"]
SupplyType = Literal["intra", "inter", "export", "sez"]


@dataclass(frozen=True, slots=True)
class Party:
    """The seller or the buyer.

    Attributes:
        legal_name: as registered.
        address: lines, without the state.
        gstin: empty for a buyer who is not registered.
        state_code: two digits (GST's code list), 96 abroad.
        state_name: its name.
        country: ISO 3166 alpha-2.
        email: where documents go.
    """

    legal_name: str
    address: tuple[str, ...]
    gstin: str
    state_code: str
    state_name: str
    country: str
    email: str


@dataclass(frozen=True, slots=True)
class Line:
    """One service supplied.

    Attributes:
        description: what, and for which days.
        sac: its Services Accounting Code.
        quantity: how many.
        taxable_paise: its value without tax.
    """

    description: str
    sac: str
    quantity: int
    taxable_paise: int


@dataclass(frozen=True, slots=True)
class TaxHead:
    """CGST, SGST or IGST.

    Attributes:
        name: of the head.
        rate_basis_points: 900 is 9 %.
        amount_paise: rounded half up to the paisa.
    """

    name: str
    rate_basis_points: int
    amount_paise: int


@dataclass(frozen=True, slots=True)
class Reference:
    """The invoice that a credit note corrects."""

    number: str
    issue_date: date


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or a credit note as it was issued.

    Attributes:
        kind: which of the two.
        number: ``RF/2026-27/00001`` or ``RC/2026-27/00001``, 16 characters.
        issue_date: the day in India.
        seller: RaptorFlow.
        buyer: who paid.
        lines: what was supplied, or taken back.
        heads: the taxes; none where the supply is zero-rated under a letter of undertaking.
        taxable_paise: sum of the lines.
        round_off_paise: -1, 0 or 1: what makes the total equal to what was paid.
        total_paise: what was paid, or refunded.
        supply_type: within a state, between states, abroad, or to a special economic zone.
        place_of_supply: its state's code.
        place_name: its state's name.
        endorsement: what the law wants printed on a zero-rated supply; else empty.
        words: the total in words.
        refers_to: the invoice, on a credit note.
        reason: why the credit note was issued.
    """

    kind: Kind
    number: str
    issue_date: date
    seller: Party
    buyer: Party
    lines: tuple[Line, ...]
    heads: tuple[TaxHead, ...]
    taxable_paise: int
    round_off_paise: int
    total_paise: int
    supply_type: SupplyType
    place_of_supply: str
    place_name: str
    endorsement: str
    words: str
    refers_to: Reference | None = None
    reason: str = ""

    def head_paise(self, name: str) -> int:
        """The amount of one tax head, 0 where it does not apply."""
        return sum(head.amount_paise for head in self.heads if head.name == name)

    def as_json(self) -> dict[str, Any]:
        """What is stored; `from_json` reads it."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Document:
        """The document that `as_json` wrote."""
        refers_to = stored["refers_to"]
        return cls(
            **{
                **stored,
                "issue_date": date.fromisoformat(stored["issue_date"]),
                "seller": _party(stored["seller"]),
                "buyer": _party(stored["buyer"]),
                "lines": tuple(Line(**line) for line in stored["lines"]),
                "heads": tuple(TaxHead(**head) for head in stored["heads"]),
                "refers_to": refers_to and Reference(refers_to["number"], date.fromisoformat(refers_to["issue_date"])),
            }
        )


def _party(stored: dict[str, Any]) -> Party:
    return Party(**{**stored, "address": tuple(stored["address"])})


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
