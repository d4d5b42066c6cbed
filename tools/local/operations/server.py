"""One gRPC server for all of them. A service's library is imported with its first call, not when the cloud starts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import grpc

_HOMES = {
    "google.cloud.secretmanager.v1.SecretManagerService": "secret_manager.SecretManager",
    "google.monitoring.v3.AlertPolicyService": "monitoring.AlertPolicies",
    "google.monitoring.v3.MetricService": "monitoring.Metrics",
    "google.logging.v2.LoggingServiceV2": "observing.Logging",
    "google.devtools.cloudtrace.v2.TraceService": "observing.Traces",
    "google.devtools.clouderrorreporting.v1beta1.ReportErrorsService": "observing.ErrorReports",
}
"""Service to the module and class that answers its RPCs."""


class _Services(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    def __init__(self) -> None:
        self._methods: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of one call; None for what nobody implements."""
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if service not in self._methods:
            if service not in _HOMES:
                return None
            module, name = _HOMES[service].split(".")
            made = getattr(import_module(f"tools.local.operations.{module}"), name)()
            self._methods[service] = made.methods()
        handler: grpc.RpcMethodHandler | None = self._methods[service].get(method)
        return handler


async def start(port: int, host: str = "127.0.0.1") -> grpc.aio.Server:
    """Serve without TLS.

    Raises:
        RuntimeError: the port is taken.
    """
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((_Services(),))
    server.add_insecure_port(f"{host}:{port}")
    await server.start()
    return server
