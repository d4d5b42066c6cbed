"""GSTIN: a registered taxpayer's number, with its check digit."""

from __future__ import annotations

import re

from common.billing.states import ABROAD, STATES

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHAPE = re.compile(r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]")


def is_gstin(value: str) -> bool:
    """Whether ``value`` is a well-formed GSTIN of a state we know, check digit included.

    Example:
        >>> is_gstin("29AABCU9603R1ZJ"), is_gstin("29AABCU9603R1ZM")
        (True, False)
    """
    return (
        _SHAPE.fullmatch(value) is not None
        and value[:2] in STATES
        and value[:2] != ABROAD
        and check_digit(value[:14]) == value[14]
    )


def check_digit(first: str) -> str:
    """The fifteenth character: weights 1 and 2 in turn, the digits of each product added, modulo 36."""
    total = 0
    for place, character in enumerate(first):
        product = _DIGITS.index(character) * (1 + place % 2)
        total += product // 36 + product % 36
    return _DIGITS[-total % 36]
