"""Money in words and in figures, as India writes them: lakh and crore."""

from __future__ import annotations


def in_words(paise: int) -> str:
    """The amount in words.

    Raises:
        ValueError: it is negative.

    Example:
        >>> in_words(11_79_882)
        'Rupees Eleven Thousand Seven Hundred Ninety-Eight and Eighty-Two Paise Only'
    """
    if paise < 0:
        raise ValueError("an amount in words is not negative")
    rupees, rest = divmod(paise, 100)
    tail = f" and {_spelled(rest)} Paise" if rest else ""
    return f"Rupees {_spelled(rupees)}{tail} Only"


def in_figures(paise: int) -> str:
    """The amount in figures, grouped as in India.

    Example:
        >>> in_figures(1_23_45_678_90)
        '1,23,45,678.90'
    """
    rupees, rest = divmod(abs(paise), 100)
    head, tail = divmod(rupees, 1000)
    groups = [f"{tail:03d}"] if head else [str(tail)]
    while head:
        head, tail = divmod(head, 100)
        groups.insert(0, f"{tail:02d}" if head else str(tail))
    return f"{'-' if paise < 0 else ''}{','.join(groups)}.{rest:02d}"


def _spelled(number: int) -> str:
    from num2words import num2words  # noqa: PLC0415 - only when a document is issued

    words: str = num2words(number, lang="en_IN")
    return " ".join(part.title() for part in words.replace(",", "").split() if part != "and")
