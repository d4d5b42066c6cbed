"""Commands to bytes, answers to Python, and what one command may be (RESP2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from hiredis import pack_command

from common.redis.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

Argument: TypeAlias = "str | bytes | int | float"
"""What a command is made of; None, bool and objects have no one way to be written, so they are refused."""

Command: TypeAlias = "tuple[Argument, ...]"
"""A command's name and arguments: ``("SET", key, value, "PX", 1000)``."""

MAX_REQUEST_BYTES = 10_000_000
"""Of one command or transaction; Upstash's limit."""

_TRAVEL_AS_THEY_ARE = frozenset({str, bytes, int})
_BLOCKING = frozenset({"BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT"})
_STATEFUL = frozenset(
    {"AUTH", "DISCARD", "EXEC", "HELLO", "MONITOR", "MULTI", "PSUBSCRIBE", "QUIT", "RESET", "SELECT", "SSUBSCRIBE"}
    | {"SUBSCRIBE", "UNWATCH", "WATCH"}
)


def pack(command: Sequence[Argument]) -> bytes:
    """A command as it travels.

    Raises:
        InvalidValue: an argument is of another type, not finite, or not Unicode; or it is all too large.
        ValueError: the command blocks or changes the connection, which is everybody's.
    """
    name = command[0]
    if not isinstance(name, str) or name.upper() in _STATEFUL or blocks(command):
        raise ValueError(f"{name!r} cannot be run on a shared connection")
    return _pack(command)


def blocks(command: Sequence[Argument]) -> bool:
    """Whether a command waits for others, and so would let everybody behind it wait."""
    name = str(command[0]).upper()
    return name in _BLOCKING or (name in {"XREAD", "XREADGROUP"} and "BLOCK" in command)


def pack_internal(*command: Argument) -> bytes:
    """`pack` for the client's own commands, which may change the connection."""
    return _pack(command)


def _pack(command: Sequence[Argument]) -> bytes:
    if not _TRAVEL_AS_THEY_ARE.issuperset(map(type, command)):
        command = [encode(argument) for argument in command]
    try:
        packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type] # its stub says a tuple of one
    except UnicodeEncodeError as error:
        raise InvalidValue(f"text for Redis must be Unicode without lone surrogates ({error.reason})") from None
    if len(packed) > MAX_REQUEST_BYTES:
        raise InvalidValue(f"a command may have at most {MAX_REQUEST_BYTES} bytes, this {command[0]!s} has more")
    return packed


def encode(argument: Argument) -> bytes:
    """One argument as it travels.

    Raises:
        InvalidValue: it has no one way to be written.
    """
    if isinstance(argument, str):
        try:
            return argument.encode()
        except UnicodeEncodeError as error:
            raise InvalidValue(f"text for Redis must be Unicode without lone surrogates ({error.reason})") from None
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, bool) or not isinstance(argument, int | float):
        raise InvalidValue(f"Redis stores text, bytes and numbers, not {type(argument).__name__}: encode it first")
    if isinstance(argument, float) and not math.isfinite(argument):
        raise InvalidValue("a number for Redis must be finite")
    return repr(argument).encode()


def decode(reply: Any) -> Any:
    """An answer with its bytes as text.

    Raises:
        InvalidValue: it is not UTF-8; it should be asked for with ``raw=True``.
    """
    if isinstance(reply, bytes):
        try:
            return reply.decode()
        except UnicodeDecodeError:
            raise InvalidValue("the stored value is not text: read it with raw=True") from None
    return [decode(item) for item in reply] if isinstance(reply, list) else reply
