"""gRPC method handlers from proto-plus types: the wheels ship the messages, not the servicer stubs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf import empty_pb2  # type: ignore[import-untyped] # has no stubs
from grpc_status import rpc_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from google.rpc import status_pb2  # type: ignore[import-untyped] # has no stubs

    Context: TypeAlias = grpc.aio.ServicerContext

ItemT = TypeVar("ItemT")

MAX_PAGE = 1000


class ServiceError(Exception):
    """An RPC fails with this status.

    Attributes:
        code: the gRPC status code.
        message: the status message.
        rich: the same with details (``google.rpc.Status``), where the service sends details.
    """

    def __init__(self, code: grpc.StatusCode, message: str, rich: status_pb2.Status | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.rich = rich


def invalid(message: str) -> ServiceError:
    """INVALID_ARGUMENT."""
    return ServiceError(grpc.StatusCode.INVALID_ARGUMENT, message)


class ProtoPlus(Protocol):
    """A message class of a client library's ``types``."""

    @classmethod
    def deserialize(cls, payload: bytes) -> Any:
        """Parse."""

    @classmethod
    def serialize(cls, instance: Any) -> bytes:
        """The opposite."""


def unary(
    request: type[ProtoPlus], response: type[ProtoPlus] | None, method: Callable[[Any, Context], Awaitable[Any]]
) -> grpc.RpcMethodHandler:
    """One request, one answer; ``response`` None stands for ``google.protobuf.Empty``."""

    async def handle(message: Any, context: Context) -> Any:
        try:
            answer = await method(message, context)
        except ServiceError as error:
            return await refuse(context, error)
        return empty_pb2.Empty() if response is None else answer

    serialize = response.serialize if response else empty_pb2.Empty.SerializeToString
    return grpc.unary_unary_rpc_method_handler(handle, request.deserialize, serialize)


def streams(
    request: type[ProtoPlus], response: type[ProtoPlus], method: Callable[[Any, Context], Awaitable[None]]
) -> grpc.RpcMethodHandler:
    """Requests and answers in any number; ``method`` writes to the context."""

    async def handle(messages: Any, context: Context) -> None:
        try:
            await method(messages, context)
        except ServiceError as error:
            await refuse(context, error)

    return grpc.stream_stream_rpc_method_handler(handle, request.deserialize, response.serialize)


async def refuse(context: Context, error: ServiceError) -> NoReturn:
    """End the RPC with the error's status."""
    details = rpc_status.to_status(error.rich).trailing_metadata if error.rich else ()
    await context.abort(error.code, error.message, details)
    raise AssertionError("abort raises")


def page(items: Sequence[ItemT], names: Sequence[str], size: int, token: str) -> tuple[list[ItemT], str]:
    """The items after ``token`` in a list sorted by ``names``, and the token of the next page.

    A token is the last name of the page before it, so pages stay right while items come and go.

    Example:
        >>> page(["a", "b", "c"], ["a", "b", "c"], 2, "")
        (['a', 'b'], 'b')
    """
    if size < 0:
        raise invalid(f"The value for page_size is too small. You passed {size} in the request, but the minimum is 0.")
    start = next((index for index, name in enumerate(names) if name > token), len(names)) if token else 0
    end = start + min(size or MAX_PAGE, MAX_PAGE)
    return list(items[start:end]), names[end - 1] if end < len(names) else ""
