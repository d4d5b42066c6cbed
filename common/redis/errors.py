"""What may go wrong with Redis, by what the caller can do about it.

InvalidKey, InvalidValue, InvalidTTL   bad input (`common.errors.InvalidInput`): nothing was sent
  LockHeld                             ... the lock is this holder's already
  UnknownChannel                       ... nobody listens to a channel of that name
  UnknownQueue, InvalidJob             ... no queue of that name is declared; an id, a priority or a number cannot be
CommandRefused                         the server understood and said no; nothing of that command was done
  WrongType, NotANumber                ... because the key holds another type of value
  OutOfRange                           ... because the counter would leave its 64 bits
SessionConflict                        a session was changed since it was read: nothing was written
Unavailable                            (`common.errors`) certainly not executed: try again later
  OutcomeUnknown                       sent, but no answer came: it may or may not have been executed
  Overloaded                           more waits to be sent than this process should hold
  QueueFull, LeaseLost                 so many jobs wait that another one is refused; a job has gone to another worker
  LockTimeout, LockLost                a lock stayed taken, or went while it was needed: the work may be tried again
Misconfigured                          (`common.errors`) the password or its rights are wrong
"""

from __future__ import annotations

from common.errors import InvalidInput, Misconfigured, RaptorFlowError, Unavailable


class InvalidKey(InvalidInput):
    """A part of a key is empty, too long, or not text; the message says which rule it breaks."""


class InvalidValue(InvalidInput):
    """A value cannot be stored: not JSON, not text, not finite, or too large."""


class InvalidTTL(InvalidInput):
    """A time to live is not a positive, finite number of seconds within ten years."""


class CommandRefused(RaptorFlowError):  # noqa: N818 - what happened to it
    """The server refused a command; the same one will be refused again.

    Attributes:
        code: the first word of the answer, ``ERR`` or ``WRONGTYPE``.
    """

    def __init__(self, message: str, code: str = "ERR") -> None:
        super().__init__(message)
        self.code = code


class WrongType(CommandRefused):
    """The key holds another type of value than the command works on."""


class NotANumber(WrongType):
    """What the key holds, or what is to be added to it, is not an integer of 64 bits."""


class OutOfRange(CommandRefused):
    """The counter would leave its 64 bits; it stays as it was."""


class NoScript(CommandRefused):
    """The server does not know the script; the client then sends its text, so callers never see this."""


class SessionConflict(RaptorFlowError):  # noqa: N818
    """A session is not as it was when it was read: read it again, and make the changes from what it is now."""


class OutcomeUnknown(Unavailable):
    """The command left, and no answer came in time: only the caller knows whether it may be repeated."""


class Overloaded(Unavailable):
    """More commands wait to be sent than this process should hold."""


class UnknownChannel(InvalidInput):
    """There is no live channel of that name; the message lists them."""


class UnknownQueue(InvalidInput):
    """No queue of that name is declared; the message lists those that are."""


class InvalidJob(InvalidInput):
    """A job, or how many of them, cannot be what it should be; the message says which rule it breaks."""


class QueueFull(Unavailable):
    """As many jobs wait as may: nothing was enqueued, try again when workers have caught up."""


class LeaseLost(Unavailable):
    """A job has gone to another worker; what this one did of it must be safe to repeat."""


class LockHeld(InvalidInput):
    """The holder asks for a lock that it has, or is waiting for: locks are not re-entrant."""


class LockTimeout(Unavailable):
    """Somebody else held the lock for as long as the caller could wait."""


class LockLost(Unavailable):
    """The lock went while it was needed: what was done under it may have met somebody else's work."""


_TRY_LATER = frozenset(
    {"OOM", "READONLY", "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS"}
)
_NOT_ALLOWED = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})


def from_reply(code: str, message: str) -> RaptorFlowError:
    """Our error for an error that the server answered.

    Args:
        code: its first word.
        message: the rest; of the server, it names commands and types, never values.
    """
    if code in _NOT_ALLOWED:
        return Misconfigured(f"Redis refuses the credentials ({code}): UPSTASH_REDIS_TOKEN must be the full token")
    if code in _TRY_LATER or (code == "ERR" and "limit exceeded" in message):  # Upstash's plan limits
        return Unavailable(f"Redis cannot do this now: {code} {message}")
    return _refused(code, message)


def _refused(code: str, message: str) -> CommandRefused:
    if code == "NOSCRIPT":
        return NoScript(message, code)
    if code == "WRONGTYPE":
        return WrongType("the key holds another type of value: it was written by something else", code)
    if "not an integer" in message:
        return NotANumber("what the key holds, or an argument, is not an integer of 64 bits", code)
    if "would overflow" in message:
        return OutOfRange("the counter would leave its 64 bits: it stays as it was", code)
    return CommandRefused(f"Redis refused a command: {code} {message}", code)
