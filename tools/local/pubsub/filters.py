r"""The filter language of subscriptions: text in, predicate over a message's attributes out.

    condition  = attributes:KEY | attributes.KEY = STRING | attributes.KEY != STRING | hasPrefix(attributes.KEY, STRING)
    expression = condition | NOT expression | -expression | (expression) | expression AND … | expression OR …

A KEY made of letters, digits, ``_`` and ``-`` stands as it is, any other is a STRING. A STRING is double-quoted and
knows the escapes ``\n``, ``\"``, ``\x41``, ``\101``, ``\u0041``, ``\U00000041``. Operators are upper case, NOT binds
tightest, AND and OR may not be mixed without parentheses. All comparisons are case-sensitive; ``!=`` also holds where
the attribute is absent. Source: cloud.google.com/pubsub/docs/subscription-message-filter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Predicate: TypeAlias = Callable[[Mapping[str, str]], bool]

MAX_FILTER_BYTES = 256

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*") | (?P<word>[A-Za-z0-9_][A-Za-z0-9_-]*) | (?P<sign>!=|[-:.=(),]))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"""\\(?:u(?P<u>[0-9A-Fa-f]{4}) | U(?P<U>[0-9A-Fa-f]{8}) | [xX](?P<x>[0-9A-Fa-f]{2}) | (?P<octal>[0-3][0-7]{2})
        | (?P<char>.))""",
    re.VERBOSE | re.DOTALL,
)
_CHARACTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {c: c for c in "\\\"'/`?"}


class FilterError(ValueError):
    """The text is not a filter; the message says where it stops being one."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_END = "end"


@dataclass(slots=True)
class _Group:
    """One pair of parentheses, or the whole filter: what stands in it so far."""

    operator: str = ""
    operands: list[Predicate] = field(default_factory=list)
    negated: bool = False
    """Whether the operand that comes next is."""

    def add(self, operand: Predicate) -> None:
        self.operands.append(_not(operand) if self.negated else operand)
        self.negated = False

    def predicate(self) -> Predicate:
        operands = tuple(self.operands)
        if len(operands) == 1:
            return operands[0]
        if self.operator == "OR":
            return lambda attributes: any(operand(attributes) for operand in operands)
        return lambda attributes: all(operand(attributes) for operand in operands)


def compile_filter(text: str) -> Predicate:
    """Whether a message with these attributes passes the filter ``text``; the empty filter passes everything.

    Raises:
        FilterError: it is longer than `MAX_FILTER_BYTES` in UTF-8, or not in the language.

    Example:
        >>> passes = compile_filter('attributes:kind AND NOT hasPrefix(attributes.kind, "test-")')
        >>> passes({"kind": "payment"}), passes({"kind": "test-payment"}), passes({})
        (True, False, False)
    """
    if not text:
        return lambda _attributes: True
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_FILTER_BYTES:
        raise FilterError(f"the filter has {size} bytes, but the maximum allowed is {MAX_FILTER_BYTES}")
    return _parse(_Tokens(text))


def _parse(tokens: _Tokens) -> Predicate:
    """A loop with its own stack: 256 opening parentheses must not reach Python's recursion limit."""
    groups = [_Group()]
    while True:
        _operand(tokens, groups)
        while tokens.accept(")"):
            if len(groups) == 1:
                raise FilterError("a ) without its (")
            closed = groups.pop().predicate()
            groups[-1].add(closed)
        token = tokens.next()
        if token.kind == _END:
            break
        group = groups[-1]
        if token.kind != "word" or token.text not in {"AND", "OR"}:
            raise tokens.unexpected(token, "AND or OR")
        if group.operator not in {"", token.text}:
            raise FilterError("AND and OR cannot be combined without parentheses")
        group.operator = token.text
    if len(groups) > 1:
        raise FilterError("a ( without its )")
    return groups[0].predicate()


def _operand(tokens: _Tokens, groups: list[_Group]) -> None:
    """Read up to and including the next condition."""
    while True:
        token = tokens.next()
        if token.text in {"NOT", "-"} and token.kind != "string":
            groups[-1].negated = not groups[-1].negated
        elif token.kind == "sign" and token.text == "(":
            groups.append(_Group())
        else:
            groups[-1].add(_condition(tokens, token))
            return


def _condition(tokens: _Tokens, first: _Token) -> Predicate:
    if first.kind == "word" and first.text == "hasPrefix":
        tokens.expect("(")
        tokens.expect("attributes")
        tokens.expect(".")
        key = tokens.key()
        tokens.expect(",")
        prefix = tokens.string()
        tokens.expect(")")
        return lambda attributes: key in attributes and attributes[key].startswith(prefix)
    if first.kind != "word" or first.text != "attributes":
        raise tokens.unexpected(first, "attributes or hasPrefix")
    if tokens.accept(":"):
        key = tokens.key()
        return lambda attributes: key in attributes
    tokens.expect(".")
    key = tokens.key()
    equal = not tokens.accept("!=")
    if equal:
        tokens.expect("=")
    value = tokens.string()
    return lambda attributes: (attributes.get(key) == value) is equal


def _not(operand: Predicate) -> Predicate:
    return lambda attributes: not operand(attributes)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._peeked: _Token | None = None

    def next(self) -> _Token:
        if self._peeked:
            token, self._peeked = self._peeked, None
            return token
        match = _TOKEN.match(self._text, self._at)
        if match and match.lastgroup:
            self._at = match.end()
            return _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        rest = self._text[self._at :].lstrip()
        if rest:
            raise FilterError(f"cannot read {rest[:20]!r} at position {len(self._text) - len(rest)}")
        return _Token(_END, "", len(self._text))

    def accept(self, sign: str) -> bool:
        """Take the next token if it is this one."""
        token = self.next()
        if token.text == sign and token.kind != "string":
            return True
        self._peeked = token
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.unexpected(self.next(), repr(text))

    def key(self) -> str:
        token = self.next()
        if token.kind == "word":
            return token.text
        if token.kind == "string":
            return _unescape(token.text[1:-1])
        raise self.unexpected(token, "the key of an attribute")

    def string(self) -> str:
        token = self.next()
        if token.kind != "string":
            raise self.unexpected(token, 'a value in "double quotes"')
        return _unescape(token.text[1:-1])

    @staticmethod
    def unexpected(token: _Token, wanted: str) -> FilterError:
        found = "the end" if token.kind == _END else repr(token.text)
        return FilterError(f"expected {wanted} at position {token.at}, found {found}")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    if match["char"]:
        if match["char"] not in _CHARACTERS:
            raise FilterError(f"unknown escape sequence {match[0]!r}")
        return _CHARACTERS[match["char"]]
    code = int(match["octal"], 8) if match["octal"] else int(match["u"] or match["U"] or match["x"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise FilterError(f"{match[0]!r} is not a character")
    return chr(code)
