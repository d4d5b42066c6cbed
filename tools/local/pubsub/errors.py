"""What an RPC answers when it does not answer OK: gRPC status codes, in the sentences of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf import any_pb2  # type: ignore[import-untyped] # has no stubs
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped] # has no stubs

from tools.local.rpc import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable


def not_found(name: str) -> ServiceError:
    """NOT_FOUND: no topic or subscription of this full name."""
    return ServiceError(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={_short(name)}).")


def already_exists(name: str) -> ServiceError:
    """ALREADY_EXISTS: there is one of this full name."""
    return ServiceError(
        grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists in the project (resource={_short(name)})."
    )


def unimplemented(what: str) -> ServiceError:
    """UNIMPLEMENTED: the service can, this stand-in cannot, and does not pretend to."""
    return ServiceError(grpc.StatusCode.UNIMPLEMENTED, f"the local Pub/Sub has no {what}")


def invalid_ack_ids(ack_ids: Iterable[str]) -> ServiceError:
    """INVALID_ARGUMENT with the ids, as a subscription with exactly-once delivery answers to expired leases."""
    message = (
        "Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids have "
        "expired or the acknowledgement ids were malformed."
    )
    detail = any_pb2.Any()
    detail.Pack(
        error_details_pb2.ErrorInfo(
            reason="EXACTLY_ONCE_ACKID_FAILURE",
            domain="pubsub.googleapis.com",
            metadata=dict.fromkeys(ack_ids, "PERMANENT_FAILURE_INVALID_ACK_ID"),
        )
    )
    rich = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=message, details=[detail])
    return ServiceError(grpc.StatusCode.INVALID_ARGUMENT, message, rich)


def _short(name: str) -> str:
    return name.rpartition("/")[2]
