"""Google's errors in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.api_core import exceptions as google

from common.errors import InvalidInput, RaptorFlowError, Unavailable
from common.infrastructure.errors import AlreadyExists, NotFound, PermissionDenied, translate

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("theirs", "reason", "ours"),
    [
        (google.NotFound, "", NotFound),
        (google.AlreadyExists, "", AlreadyExists),
        (google.PreconditionFailed, "", AlreadyExists),
        (google.Aborted, "", Unavailable),
        (google.Forbidden, "", PermissionDenied),
        (google.Forbidden, "accessDenied", PermissionDenied),
        (google.Forbidden, "rateLimitExceeded", Unavailable),
        (google.Forbidden, "quotaExceeded", Unavailable),
        (google.Unauthorized, "", PermissionDenied),
        (google.InvalidArgument, "", InvalidInput),
        (google.TooManyRequests, "", Unavailable),
        (google.InternalServerError, "", Unavailable),
    ],
)
def test_each_of_googles_errors_is_one_of_ours(
    theirs: Callable[..., Exception], reason: str, ours: type[RaptorFlowError]
) -> None:
    error = theirs("x", errors=[{"reason": reason}] if reason else ())
    made = translate(error, "asking")
    assert type(made) is ours
    assert str(made) == f"asking: {type(error).__name__}"
