"""The sheet: A4, our two fonts, a footer, and nothing that differs from one drawing to the next."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fpdf import FPDF
from fpdf.enums import XPos, YPos

if TYPE_CHECKING:
    from datetime import date

FONTS = Path(__file__).parent / "fonts"
MARGIN, WIDTH = 16.0, 178.0
"""Millimetres: of the margin, and between the margins."""
GREY, RULE, SHADE = (96, 102, 112), (200, 204, 210), (243, 245, 248)
Align = Literal["L", "R", "C"]


class Page(FPDF):
    """An A4 sheet with text helpers; every length is in millimetres."""

    def __init__(self, title: str, day: date, footer: str) -> None:
        super().__init__(orientation="portrait", unit="mm", format="A4")
        self._footer = footer
        # Whatever a drawing would take from the clock or at random is taken from the document instead.
        self.set_creation_date(datetime(day.year, day.month, day.day, tzinfo=UTC))
        self.set_title(title)
        self.set_producer("RaptorFlow")
        self.set_lang("en-IN")
        self.add_font("sans", "", FONTS / "DejaVuSans.ttf")
        self.add_font("sans", "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(auto=True, margin=20)
        self.set_draw_color(*RULE)
        self.add_page()

    def footer(self) -> None:
        """Page number and note, on every page."""
        self.set_y(-15)
        self._style(7.5, grey=True)
        self.cell(WIDTH * 0.8, 5, self._footer)
        self.cell(WIDTH * 0.2, 5, f"Page {self.page_no()} of {{nb}}", align="R")

    def text_block(
        self,
        text: str,
        *,
        width: float = WIDTH,
        size: float = 9,
        bold: bool = False,
        grey: bool = False,
        align: Align = "L",
        leading: float = 1.45,
    ) -> None:
        """Write ``text`` in a column that begins where the cursor is, wrapped; the cursor goes below it."""
        x = self.get_x()
        self._style(size, bold=bold, grey=grey)
        height = size * leading * 0.3528
        self.multi_cell(width, height, text, align=align, new_x=XPos.LEFT, new_y=YPos.NEXT)
        self.set_x(x)

    def label(self, text: str, *, width: float = WIDTH) -> None:
        """A small heading."""
        self.text_block(text.upper(), width=width, size=7, bold=True, grey=True)

    def rule(self, gap: float = 3.0) -> None:
        """A line across the page, with space around it."""
        self.ln(gap)
        self.line(MARGIN, self.get_y(), MARGIN + WIDTH, self.get_y())
        self.ln(gap)

    def _style(self, size: float, *, bold: bool = False, grey: bool = False) -> None:
        self.set_font("sans", "B" if bold else "", size)
        self.set_text_color(*(GREY if grey else (20, 24, 31)))
