"""From rows to what a document shows; no database, no clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from common.billing.config import SellerConfig, address_lines
from common.billing.fiscal import billing_date
from common.billing.gst import ProfileIncomplete, place_of_supply, tax_on
from common.billing.models import Document, Line, Party, Reference, TaxHead
from common.billing.printable import is_printable, normal
from common.billing.refund_split import Amounts, split
from common.billing.states import STATES
from common.billing.words import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date


def buyer_of(payment: dict[str, Any]) -> Party:
    """Who is billed, as the profile says now.

    Raises:
        ProfileIncomplete: there is no profile, or it does not tell the state.
    """
    if payment["legal_name"] is None:
        raise ProfileIncomplete("no_profile")
    code = place_of_supply(
        country=payment["country"],
        gstin=payment["gstin"] or "",
        state_code=payment["state_code"] or "",
        special_economic_zone=payment["special_economic_zone"],
    )
    legal_name, address = normal(payment["legal_name"]), address_lines(payment["address"])
    if not all(map(is_printable, (legal_name, *address))):
        raise ProfileIncomplete("unprintable")
    return Party(
        legal_name=legal_name,
        address=address,
        gstin=payment["gstin"] or "",
        state_code=code,
        state_name=STATES[code],
        country=payment["country"],
        email=payment["email"],
    )


def invoice(payment: dict[str, Any], *, seller: SellerConfig, buyer: Party, day: date) -> Document:
    """The invoice of a payment, not yet numbered.

    Raises:
        AmountMismatch: what was paid is not what the tax comes to.
    """
    tax = tax_on(
        taxable_paise=payment["amount_paise"],
        gst_paise=payment["gst_amount_paise"],
        seller=seller,
        buyer=buyer,
        special_economic_zone=payment["special_economic_zone"],
    )
    line = Line(_description(payment), seller.sac, 1, payment["amount_paise"])
    return Document(
        kind="invoice",
        number="",
        issue_date=day,
        seller=seller.party,
        buyer=buyer,
        lines=(line,),
        heads=tax.heads,
        taxable_paise=line.taxable_paise,
        round_off_paise=tax.round_off_paise,
        total_paise=payment["total_amount_paise"],
        supply_type=tax.supply_type,
        place_of_supply=buyer.state_code,
        place_name=buyer.state_name,
        endorsement=tax.endorsement,
        words=in_words(payment["total_amount_paise"]),
    )


def credit_note(original: Document, earlier: Sequence[Document], *, refund: int, day: date) -> Document:
    """The credit note of ``refund`` paise, not yet numbered; ``earlier`` are those already issued for the same invoice.

    Parties, rates and place are the invoice's: a note corrects what was issued, not what the profile says today.

    Raises:
        ValueError: the refund is more than the earlier notes left.
    """
    left = _amounts(original)
    for note in earlier:
        left -= _amounts(note)
    part = split(refund, left)
    (line,) = original.lines
    given = {"CGST": part.each, "SGST": part.each, "IGST": part.igst}
    return Document(
        kind="credit_note",
        number="",
        issue_date=day,
        seller=original.seller,
        buyer=original.buyer,
        lines=(replace(line, taxable_paise=part.taxable),),
        heads=tuple(TaxHead(head.name, head.rate_basis_points, given[head.name]) for head in original.heads),
        taxable_paise=part.taxable,
        round_off_paise=part.round_off,
        total_paise=refund,
        supply_type=original.supply_type,
        place_of_supply=original.place_of_supply,
        place_name=original.place_name,
        endorsement=original.endorsement,
        words=in_words(refund),
        refers_to=Reference(original.number, original.issue_date),
        reason="Refund",
    )


def _amounts(document: Document) -> Amounts:
    return Amounts(
        document.taxable_paise, document.head_paise("CGST"), document.head_paise("IGST"), document.round_off_paise
    )


def _description(payment: dict[str, Any]) -> str:
    """``RaptorFlow Growth - monthly, 12 Nov 2026 to 11 Dec 2026``: the day of the end begins the next period."""
    first = billing_date(payment["period_start"])
    last = max(first, billing_date(payment["period_end"]) - timedelta(days=1))
    days = f"{first.day} {first:%b %Y} to {last.day} {last:%b %Y}"
    return f"RaptorFlow {payment['display_name']} – {payment['billing_cycle']}, {days}"  # noqa: RUF001 - a dash
