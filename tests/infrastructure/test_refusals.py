"""A real server over gRPC that refuses everything: which error of ours that is, and what is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from common.errors import InvalidInput, RaptorFlowError, Unavailable
from common.functions.deadline import within
from common.infrastructure.cloud_tasks import cloud_tasks_client
from common.infrastructure.errors import AlreadyExists, NotFound, PermissionDenied
from common.infrastructure.secrets import secrets_manager
from common.lifecycle import aclose_all
from tests.infrastructure.clients import CALLS, EMULATORS
from tools.gateway_process import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

OVER_GRPC = ("publish", "tasks", "secrets", "monitoring")


class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Every method of every service; counts its calls."""

    def __init__(self) -> None:
        self.code = grpc.StatusCode.PERMISSION_DENIED
        self.calls = 0

    def service(self, _details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    async def _refuse(self, _request: bytes, context: Any) -> None:
        self.calls += 1
        await context.abort(self.code, "c4n4ry")


@pytest.fixture
async def refusing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Refusing]:
    """The server, in place of each service."""
    port, handler = free_port(0), Refusing()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    for what in OVER_GRPC:
        monkeypatch.setenv(EMULATORS[what], f"127.0.0.1:{port}")
    yield handler
    await aclose_all()
    await server.stop(grace=None)


@pytest.mark.parametrize("what", OVER_GRPC)
@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.UNAUTHENTICATED, PermissionDenied),
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, AlreadyExists),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidInput),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
    ],
)
async def test_a_refusal_is_one_of_our_errors_and_final(
    refusing: Refusing, what: str, code: grpc.StatusCode, ours: type[RaptorFlowError]
) -> None:
    refusing.code = code
    if (what, code) == ("secrets", grpc.StatusCode.OUT_OF_RANGE):
        ours = NotFound  # as a version that is not enabled
    with pytest.raises(ours) as caught:
        await CALLS[what]()
    assert type(caught.value) is ours
    assert "c4n4ry" not in str(caught.value)
    assert refusing.calls == 1


REPEATED: dict[str, tuple[Callable[[], Awaitable[Any]], bool]] = {
    "a publish": (CALLS["publish"], True),
    "a task of a name": (CALLS["tasks"], True),
    "a task without": (lambda: cloud_tasks_client().create_task("job-count", "job-count", {}), False),
    "reading a secret": (CALLS["secrets"], True),
    "adding a version": (lambda: secrets_manager().set_secret("token-of-a-test", "v"), False),
    "an alert policy": (CALLS["monitoring"], False),
}


@pytest.mark.parametrize("what", REPEATED)
async def test_after_a_lost_connection_only_what_can_be_done_twice_is_repeated(refusing: Refusing, what: str) -> None:
    called, repeated = REPEATED[what]
    refusing.code = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(Unavailable):
        async with within(1):
            await called()
    assert (refusing.calls > 1) is repeated
