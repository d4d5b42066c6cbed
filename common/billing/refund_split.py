"""Splitting a refund over the amounts of its invoice, so that its credit notes together take back exactly those."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an invoice, or a credit note, adds up; ``each`` is CGST and SGST alike."""

    taxable: int
    each: int
    igst: int
    round_off: int

    @property
    def total(self) -> int:
        """The sum of all."""
        return self.taxable + 2 * self.each + self.igst + self.round_off

    def __sub__(self, other: Amounts) -> Amounts:
        """What is left after ``other``."""
        return Amounts(
            self.taxable - other.taxable,
            self.each - other.each,
            self.igst - other.igst,
            self.round_off - other.round_off,
        )


def split(refund: int, left: Amounts) -> Amounts:
    """The part of ``left`` that a refund takes back, in proportion, by largest remainder.

    Args:
        refund: paise.
        left: the invoice less its earlier credit notes.

    Raises:
        ValueError: the refund is more than is left, or nothing.

    Example:
        >>> split(100, Amounts(taxable=84_746, each=7_627, igst=0, round_off=0))
        Amounts(taxable=84, each=8, igst=0, round_off=0)
    """
    if not 0 < refund <= left.total:
        raise ValueError("a refund is more than nothing and at most what is left")
    if refund == left.total:
        return left
    tax = 2 * left.each + left.igst
    whole = left.taxable + tax
    taxable, remainder = divmod(refund * left.taxable, whole)
    round_off = 0
    if left.each:  # CGST and SGST are equal on every document: one of the two neighbours leaves an even tax
        taxable += (refund - taxable) % 2
    else:  # two parts have the remainders r and whole - r: the larger one gets the paisa
        taxable += 2 * remainder >= whole
    if taxable > left.taxable:  # there is no such neighbour: the refund takes all of it
        taxable -= 1
        if refund - taxable < tax and taxable:
            taxable -= 1
        else:
            round_off = 1 if left.round_off > 0 else -1
    tax = refund - taxable - round_off
    return Amounts(taxable, tax // 2 if left.each else 0, 0 if left.each else tax, round_off)
