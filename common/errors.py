"""The root of our exceptions.

RaptorFlowError
├── InvalidInput      the caller's fault, or bad data: the same call will never succeed
├── Misconfigured     a setting is missing or contradicts another: an operator must act
└── Unavailable       a dependency cannot answer now: the same call may succeed later
"""

from __future__ import annotations


class RaptorFlowError(Exception):
    """Any error that this code base raises on purpose."""


class InvalidInput(RaptorFlowError):  # noqa: N818 - the field's own word
    """The input can never be accepted; the message says what to change."""


class Misconfigured(RaptorFlowError):  # noqa: N818
    """A setting is missing or wrong; the message names it and never shows its value."""


class Unavailable(RaptorFlowError):  # noqa: N818
    """A dependency is down, slow or refusing.

    Attributes:
        retry_after: seconds after which another try makes sense; None leaves it to the caller's own back-off.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
