"""Parsing JSON that strangers sent: bounded, strict, and with one exception."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from common.errors import InvalidInput

MAX_DEPTH = 32
MAX_DIGITS = 64
"""No provider sends a number that long; int() of 5,000 digits raises, of many fewer it costs quadratic time."""


def parse_json(body: bytes) -> Any:
    """Decode one JSON document.

    Stricter than `json.loads`: UTF-8 only, no NaN or Infinity, no lone surrogates, no number of more than
    `MAX_DIGITS` characters, nothing nested deeper than `MAX_DEPTH`. Repeated keys are legal: the last one wins.

    Raises:
        InvalidInput: it is not such a document; the message says why and repeats nothing of it.

    Example:
        >>> parse_json(b'{"amount": 94282}')
        {'amount': 94282}
    """
    try:
        text = body.decode("utf-8")
        value = _DECODER.decode(text)
        if "\\u" in text:  # only an escape can smuggle a lone surrogate past the decoder
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise InvalidInput("the body is not valid UTF-8 text") from None
    except RecursionError:
        raise InvalidInput(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidInput(f"the body is not valid JSON ({_where(error)})") from None
    if text.count("{") + text.count("[") > MAX_DEPTH:  # fewer cannot be nested deeper
        _check_depth(value, MAX_DEPTH)
    return value


def parse_object(body: bytes) -> dict[str, Any]:
    """Like `parse_json`, for a document that must be an object."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise InvalidInput("the body must be a JSON object")
    return value


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    return str(error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number has too many digits")
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise ValueError("a number is too large")
    return value


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise InvalidInput(f"the body is nested deeper than {MAX_DEPTH} levels")
        for child in value.values() if isinstance(value, dict) else value:
            _check_depth(child, left - 1)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer, parse_float=_number)
