"""Google's errors in our words; the vendor's own error is always the cause.

RaptorFlowError
├── InvalidInput         the service refuses the request itself
├── Unavailable          down, slow, throttling
├── NotFound             the topic, queue, object … does not exist
├── AlreadyExists        what was to be created only is there already
└── PermissionDenied     our service account may not
"""

from __future__ import annotations

from common.errors import InvalidInput, RaptorFlowError, Unavailable


class NotFound(RaptorFlowError):  # noqa: N818 - the field's own word
    """The named resource does not exist."""


class AlreadyExists(RaptorFlowError):  # noqa: N818
    """The name is taken: the task was created, or the object was stored, before."""


class PermissionDenied(RaptorFlowError):  # noqa: N818
    """Our service account lacks a role."""


def translate(error: Exception, what: str) -> RaptorFlowError:
    """Our error for one of Google's; ``what`` was being done."""
    from google.api_core import exceptions as google  # noqa: PLC0415 - loaded by whoever raised it

    kinds: list[tuple[tuple[type[Exception], ...], type[RaptorFlowError]]] = [
        ((google.NotFound,), NotFound),
        ((google.AlreadyExists, google.Conflict, google.PreconditionFailed), AlreadyExists),
        ((google.Forbidden, google.Unauthorized), PermissionDenied),
        ((google.BadRequest,), InvalidInput),
    ]
    ours = next((ours for theirs, ours in kinds if isinstance(error, theirs)), Unavailable)
    return ours(f"{what}: {type(error).__name__}")
