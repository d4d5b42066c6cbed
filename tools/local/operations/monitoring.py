"""``google.monitoring.v3``: alert policies, and time series within the limits of the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.cloud import monitoring_v3 as types

from common import ids
from tools.local.rpc import ServiceError, invalid, page, unary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tools.local.rpc import Context

MAX_SERIES = 200
"""Of one request."""
SAMPLING_SECONDS = 5
"""Between two points of a series. Source of both: https://cloud.google.com/monitoring/quotas"""
MAX_CONDITIONS = 6


class AlertPolicies:
    """Answers the RPCs of alert policies."""

    NAME = "google.monitoring.v3.AlertPolicyService"

    def __init__(self) -> None:
        self._policies: dict[str, types.AlertPolicy] = {}

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """By name."""
        return {
            "CreateAlertPolicy": unary(types.CreateAlertPolicyRequest, types.AlertPolicy, self.create),
            "GetAlertPolicy": unary(types.GetAlertPolicyRequest, types.AlertPolicy, self.get),
            "ListAlertPolicies": unary(types.ListAlertPoliciesRequest, types.ListAlertPoliciesResponse, self.list),
            "DeleteAlertPolicy": unary(types.DeleteAlertPolicyRequest, None, self.delete),
        }

    async def create(self, request: types.CreateAlertPolicyRequest, _: Context) -> types.AlertPolicy:
        """Make a policy."""
        policy = types.AlertPolicy(request.alert_policy)
        if not policy.display_name or policy.combiner == 0:
            raise invalid("Field alert_policy needs a display_name and a combiner.")
        if not 1 <= len(policy.conditions) <= MAX_CONDITIONS:
            raise invalid(f"Field alert_policy.conditions had {len(policy.conditions)} entries: 1 to {MAX_CONDITIONS}.")
        for condition in policy.conditions:
            threshold = condition.condition_threshold
            if "metric.type" not in threshold.filter:
                raise invalid("A condition's filter must name a metric.type.")
            if "resource.type" not in threshold.filter:
                raise invalid('must specify a restriction on "resource.type" in the filter')
            if threshold.duration.total_seconds() % 60:
                raise invalid("A condition's duration is a multiple of a minute.")
        policy.name = f"{request.name}/alertPolicies/{ids.new_id()}"
        self._policies[policy.name] = policy
        return policy

    async def get(self, request: types.GetAlertPolicyRequest, _: Context) -> types.AlertPolicy:
        """One policy."""
        return self._policy(request.name)

    async def list(self, request: types.ListAlertPoliciesRequest, _: Context) -> types.ListAlertPoliciesResponse:
        """A project's policies."""
        names = sorted(name for name in self._policies if name.startswith(f"{request.name}/"))
        found, token = page([self._policies[name] for name in names], names, request.page_size, request.page_token)
        return types.ListAlertPoliciesResponse(alert_policies=found, next_page_token=token)

    async def delete(self, request: types.DeleteAlertPolicyRequest, _: Context) -> None:
        """Remove a policy."""
        del self._policies[self._policy(request.name).name]

    def _policy(self, name: str) -> types.AlertPolicy:
        if name not in self._policies:
            raise ServiceError(grpc.StatusCode.NOT_FOUND, f"Cannot find alert policy {name}.")
        return self._policies[name]


class Metrics:
    """Answers the RPCs of time series."""

    NAME = "google.monitoring.v3.MetricService"

    def __init__(self) -> None:
        self._series: list[tuple[str, types.TimeSeries]] = []
        self._newest: dict[tuple[str, str, str], datetime] = {}

    def methods(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """By name."""
        return {
            "CreateTimeSeries": unary(types.CreateTimeSeriesRequest, None, self.create),
            "ListTimeSeries": unary(types.ListTimeSeriesRequest, types.ListTimeSeriesResponse, self.list),
        }

    async def create(self, request: types.CreateTimeSeriesRequest, _: Context) -> None:
        """Write points: one for each series, no oftener than the sampling period."""
        if not 1 <= len(request.time_series) <= MAX_SERIES:
            raise invalid(f"Field timeSeries had an invalid value: 1 to {MAX_SERIES} can be written.")
        for series in request.time_series:
            if len(series.points) != 1:
                raise invalid("Each time series takes exactly one point.")
            key = (request.name, series.metric.type, str(sorted(series.metric.labels.items())))
            at = series.points[0].interval.end_time
            before = self._newest.get(key)
            if before is not None and (at - before).total_seconds() < SAMPLING_SECONDS:
                raise invalid(
                    "One or more points were written more frequently than the maximum sampling period configured for"
                    " the metric."
                )
            self._newest[key] = at
            self._series.append((request.name, series))

    async def list(self, request: types.ListTimeSeriesRequest, _: Context) -> types.ListTimeSeriesResponse:
        """Series whose metric the filter names."""
        found = [
            series
            for project, series in self._series
            if project == request.name and series.metric.type in request.filter
        ]
        return types.ListTimeSeriesResponse(time_series=found)
