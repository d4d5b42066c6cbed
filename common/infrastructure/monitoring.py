"""Metrics and alerts (R36): counters and histograms as log lines, alert policies through Cloud Monitoring's library.

Functions use `common.infrastructure.metrics.record_metric`, which needs no client. Latencies need no call at all, since
summary lines and spans carry them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from common.errors import InvalidInput
from common.infrastructure.calls import call
from common.infrastructure.endpoints import open_client
from common.infrastructure.gcp import GCPClient
from common.infrastructure.metrics import record_metric
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.cloud.monitoring_v3 import AlertPolicyServiceAsyncClient

CALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Condition:
    """What an alert waits for.

    Attributes:
        metric: one of `METRICS`.
        threshold: compared with a rate per second of a counter, with the 95th percentile of a histogram.
        above: alert above it, otherwise below it.
        for_seconds: that it must hold; a multiple of 60, 0 for at once.
        labels: only series that have these.
    """

    metric: str
    threshold: float
    above: bool = True
    for_seconds: int = 300
    labels: tuple[tuple[str, str], ...] = ()


class CloudMonitoring:
    """Alert policies, and `record_metric`; one per process and event loop, see `cloud_monitoring`."""

    def __init__(self) -> None:
        self._project = GCPClient().get_project_id()
        self._client: AlertPolicyServiceAsyncClient | None = None

    async def record_metric(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """See `record_metric`; nothing waits."""
        record_metric(name, value, labels)

    async def create_alert_policy(
        self, name: str, conditions: Sequence[Condition], *, combine: Literal["any", "all"] = "any"
    ) -> str:
        """Make Cloud Monitoring watch, and return the policy's resource name.

        Every call makes another policy: for operators and scripts; what every deployment has is Terraform's.

        Args:
            name: what an operator reads in the alert.
            conditions: 1 to 6, Cloud Monitoring's limit.
            combine: whether one of them is enough.

        Raises:
            InvalidInput: there is no such metric, or no condition.
            PermissionDenied: our service account lacks ``roles/monitoring.alertPolicyEditor``.
            Unavailable: it did not work in time.

        Example:
            >>> late = Condition("raptorflow_request_seconds", threshold=2.5, labels=(("function", "webhook-phonepe"),))
            >>> await cloud_monitoring().create_alert_policy("PhonePe's webhook is slow", [late])
            'projects/raptorflow-prod/alertPolicies/1234'
        """
        if not 1 <= len(conditions) <= 6:
            raise InvalidInput("an alert policy has 1 to 6 conditions")
        from common.infrastructure.alert_policies import policy_of  # noqa: PLC0415 - imports Google's library

        policy = policy_of(name, conditions, combine)
        made = await call(
            "creating an alert policy",
            self._policies().create_alert_policy,
            seconds=CALL_SECONDS,
            transient=frozenset(),  # a second try could make a second policy
            name=f"projects/{self._project}",
            alert_policy=policy,
        )
        identity: str = made.name
        return identity

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.transport.close()  # type: ignore[no-untyped-call] # the library's

    def _policies(self) -> AlertPolicyServiceAsyncClient:
        if self._client is None:
            from google.cloud.monitoring_v3 import AlertPolicyServiceAsyncClient  # noqa: PLC0415 - at the first call
            from google.cloud.monitoring_v3.services.alert_policy_service.transports import (  # noqa: PLC0415
                AlertPolicyServiceGrpcAsyncIOTransport,
            )

            self._client = open_client(
                AlertPolicyServiceAsyncClient, AlertPolicyServiceGrpcAsyncIOTransport, "CLOUD_MONITORING_EMULATOR_HOST"
            )
        return self._client


@per_loop
def cloud_monitoring() -> CloudMonitoring:
    """The client of this process and event loop."""
    return CloudMonitoring()
