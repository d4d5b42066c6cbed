"""Which characters a document can show: those of its fonts.

The GST portal registers names in Latin letters. A profile in another script must be asked for again rather than printed
as boxes, and before a number is taken.
"""

from __future__ import annotations

import unicodedata

RANGES = (
    (0x20, 0x7E),
    (0xA0, 0x17F),
    (0x218, 0x21B),
    (0x2010, 0x2015),
    (0x2018, 0x201E),
    (0x2020, 0x2022),
    (0x2026, 0x2026),
    (0x2030, 0x2030),
    (0x2039, 0x203A),
    (0x20AC, 0x20AC),
    (0x20B9, 0x20B9),
    (0x2122, 0x2122),
)
"""Code points, both ends included; a test holds the fonts to them."""


def normal(text: str) -> str:
    """The composed form, in which an accented letter is one character, with white space folded.

    Example:
        >>> normal("Rene\u0301  Rao")
        'René Rao'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def is_printable(text: str) -> bool:
    """Whether every character of a `normal` text is in the fonts."""
    return all(any(first <= ord(character) <= last for first, last in RANGES) for character in text)
