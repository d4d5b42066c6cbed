"""What a function may answer besides "done": raise one of these and the runtime says it in the trigger's own language.

Outcome
├── Rejected    the caller's fault: 4xx with one sentence (HTTP triggers)
│   └── Unverified    a webhook that is not the provider's: 401, or 429 for a source of too many
├── Retry       not now: 503 with Retry-After; Pub/Sub and Cloud Tasks back off and deliver again
└── Drop        never: 2xx, so that nobody delivers it again, and a copy with the reason on the dead-letter topic

Returning is success; `common.errors.Unavailable` counts as `Retry`; any other exception is a defect: 500, empty body,
stack trace in the log, delivered again.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from common.errors import RaptorFlowError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIENT_ERRORS = frozenset(status for status in HTTPStatus if 400 <= status <= 499)


class Outcome(RaptorFlowError):  # noqa: N818 - an answer, not an error
    """An answer other than success."""


class Rejected(Outcome):
    """Refuse a request.

    Attributes:
        status: an HTTP status from 400 to 499 that is registered with IANA.
        detail: one sentence for the caller; it must not repeat what the caller sent.
        headers: further ones of the answer, ``Retry-After`` of a 429.

    Example:
        >>> raise Rejected(409, "the order is cancelled already")
    """

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        if status not in _CLIENT_ERRORS:
            raise ValueError(f"a rejection has a 4xx status, not {status}")
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class Unverified(Rejected):
    """Refuse a webhook whose signature, or whatever proves its origin, is missing or wrong: 401, without a reason.

    Only these are counted, for each source; see `common.functions.unverified`.

    Example:
        >>> if not verify_webhook(request.body, signature, secret):
        ...     raise Unverified
    """

    def __init__(self) -> None:
        super().__init__(401, "the request is not authenticated")


class Retry(Outcome):
    """Ask for the same delivery again.

    Attributes:
        after: seconds after which another try makes sense; None leaves it to the caller's own back-off.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Drop(Outcome):
    """Give a delivery up for good and keep a copy of it, with the reason, as a dead letter.

    Attributes:
        reason: short and stable, so that dead letters can be counted by it: ``merchant_mismatch``, ``expired``.
        detail: a sentence for whoever reads the dead letter.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
