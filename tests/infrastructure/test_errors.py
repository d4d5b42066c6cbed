"""Google's errors in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.api_core import exceptions as google
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped] # has no stubs
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # has no stubs

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


def test_what_the_service_says_of_another_try_is_kept() -> None:
    response = httpx.Response(503, headers={"Retry-After": "7"})
    info = RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))
    told: list[tuple[Any, dict[str, Any]]] = [
        (google.ServiceUnavailable, {"response": response}),
        (google.ResourceExhausted, {"details": [info]}),
        (google.ServiceUnavailable, {}),
    ]
    made = [translate(theirs("x", **options), "asking") for theirs, options in told]
    assert [getattr(error, "retry_after", "") for error in made] == [7.0, 2.5, None]
