"""Drawing a tax document: the same row gives the same bytes, wherever and whenever it is drawn.

What must stand on it is rule 46 (invoices) and rule 53 (credit notes) of the CGST rules.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from common.billing.pdf.page import MARGIN, SHADE, WIDTH, Page
from common.billing.printable import is_printable
from common.billing.words import in_figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.billing.models import Document, Party

TITLES = {"invoice": "Tax Invoice", "credit_note": "Credit Note"}
_COLUMN, _GUTTER = 85.0, 8.0


def render(document: Document) -> bytes:
    """The PDF of a document.

    Raises:
        ValueError: a text has characters that the fonts lack; see `common.billing.printable`.

    Example:
        >>> render(document)[:5]
        b'%PDF-'
    """
    if not all(is_printable(text) for text in _texts(document.as_json())):
        raise ValueError("a document has characters that its fonts lack")
    page = Page(
        f"{TITLES[document.kind]} {document.number}",
        document.issue_date,
        f"{document.number} · This is a computer-generated document.",
    )
    _heading(page, document)
    _parties(page, document)
    _lines(page, document)
    _totals(page, document)
    _notes(page, document)
    return bytes(page.output())


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "email":  # not drawn, and an address may be in any script
                yield from _texts(item)


def _heading(page: Page, document: Document) -> None:
    top = page.get_y()
    page.text_block(document.seller.legal_name, width=_COLUMN + _GUTTER, size=13, bold=True)
    left_bottom = page.get_y()
    page.set_xy(MARGIN + _COLUMN + _GUTTER, top)
    page.text_block(TITLES[document.kind], width=_COLUMN, size=16, bold=True, align="R")
    page.set_x(MARGIN + _COLUMN + _GUTTER)
    page.text_block("Original for recipient", width=_COLUMN, size=7.5, grey=True, align="R")
    page.set_xy(MARGIN, max(left_bottom, page.get_y()))
    page.rule()
    facts = {
        f"{TITLES[document.kind]} no.": document.number,
        "Date": f"{document.issue_date:%d %b %Y}",
        "Place of supply": f"{document.place_name} ({document.place_of_supply})",
        "Reverse charge": "No",
    }
    if document.refers_to:
        facts |= {
            "Original invoice": document.refers_to.number,
            "Dated": f"{document.refers_to.issue_date:%d %b %Y}",
            "Reason": document.reason,
        }
    _facts(page, facts)
    page.rule()


def _facts(page: Page, facts: dict[str, str]) -> None:
    width, items = WIDTH / 4, list(facts.items())
    for row in (items[at : at + 4] for at in range(0, len(items), 4)):
        top, bottom = page.get_y(), page.get_y()
        for index, (name, value) in enumerate(row):
            page.set_xy(MARGIN + index * width, top)
            page.label(name, width=width - 3)
            page.text_block(value, width=width - 3, size=9, bold=True)
            bottom = max(bottom, page.get_y())
        page.set_xy(MARGIN, bottom + 1.5)


def _parties(page: Page, document: Document) -> None:
    top = page.get_y()
    _party(page, "Supplier", document.seller, MARGIN)
    bottom = page.get_y()
    page.set_xy(MARGIN + _COLUMN + _GUTTER, top)
    _party(page, "Bill to", document.buyer, MARGIN + _COLUMN + _GUTTER)
    page.set_xy(MARGIN, max(bottom, page.get_y()) + 5)


def _party(page: Page, role: str, party: Party, x: float) -> None:
    page.label(role, width=_COLUMN)
    page.set_x(x)
    page.text_block(party.legal_name, width=_COLUMN, size=10, bold=True)
    where = (f"State {party.state_name}, code {party.state_code}", f"GSTIN {party.gstin or 'not registered'}")
    if party.country != "IN":
        where = (f"Country {party.country}", f"{party.state_name}, code {party.state_code}")
    for line in (*party.address, *where):
        page.set_x(x)
        page.text_block(line, width=_COLUMN, size=8.5)


def _lines(page: Page, document: Document) -> None:
    widths = (108.0, 20.0, 12.0, 38.0)
    with page.table(
        col_widths=widths,
        width=WIDTH,
        align="L",
        text_align=("LEFT", "LEFT", "RIGHT", "RIGHT"),
        line_height=5.2,
        padding=1.4,
        borders_layout="HORIZONTAL_LINES",
        headings_style=_heading_style(),
    ) as table:
        page.set_font("sans", "", 8.5)
        page.set_text_color(20, 24, 31)
        table.row(["Description", "SAC", "Qty", "Taxable value (₹)"])
        for line in document.lines:
            table.row([line.description, line.sac, str(line.quantity), in_figures(line.taxable_paise)])
    page.ln(3)


def _heading_style() -> object:
    from fpdf.fonts import FontFace  # noqa: PLC0415 - beside its only use

    return FontFace(emphasis="BOLD", fill_color=SHADE, size_pt=8)


def _totals(page: Page, document: Document) -> None:
    rows = [("Taxable value", in_figures(document.taxable_paise))]
    rows += [
        (f"{head.name} @ {Decimal(head.rate_basis_points) / 100:f} %", in_figures(head.amount_paise))
        for head in document.heads
    ]
    if document.round_off_paise:
        rows.append(("Round off", in_figures(document.round_off_paise)))
    for name, amount in rows:
        _amount(page, name, amount)
    page.line(MARGIN + WIDTH - 80, page.get_y() + 1, MARGIN + WIDTH, page.get_y() + 1)
    page.ln(2)
    _amount(page, "Total", f"₹{in_figures(document.total_paise)}", bold=True)
    page.ln(3)


def _amount(page: Page, name: str, amount: str, *, bold: bool = False) -> None:
    top = page.get_y()
    page.set_xy(MARGIN + WIDTH - 80, top)
    page.text_block(name, width=44, size=10 if bold else 9, bold=bold)
    bottom = page.get_y()
    page.set_xy(MARGIN + WIDTH - 36, top)
    page.text_block(amount, width=36, size=10 if bold else 9, bold=bold, align="R")
    page.set_xy(MARGIN, bottom)


def _notes(page: Page, document: Document) -> None:
    page.label("Amount in words")
    page.text_block(document.words, size=9, bold=True)
    page.rule()
    if document.endorsement:
        page.text_block(document.endorsement, size=8.5, bold=True)
        page.ln(2)
    page.ln(6)
    page.set_x(MARGIN + WIDTH - 80)
    page.text_block(f"For {document.seller.legal_name}", width=80, size=9, align="R")
    page.ln(10)
    page.set_x(MARGIN + WIDTH - 80)
    page.text_block("Authorised signatory", width=80, size=8.5, grey=True, align="R")
