"""Alert policies in the words of Cloud Monitoring's library, which is imported with this module."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from google.cloud.monitoring_v3.types import Aggregation, AlertPolicy, ComparisonType

from common.errors import InvalidInput
from common.infrastructure.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.infrastructure.monitoring import Condition

ALIGNMENT_SECONDS = 60
RESOURCE = "cloud_run_revision"
"""What our log lines are about. Cloud Monitoring refuses a filter that restricts no resource type."""
_COMBINERS = {"any": AlertPolicy.ConditionCombinerType.OR, "all": AlertPolicy.ConditionCombinerType.AND}
_ALIGNERS = {"counter": Aggregation.Aligner.ALIGN_RATE, "histogram": Aggregation.Aligner.ALIGN_PERCENTILE_95}


def policy_of(name: str, conditions: Sequence[Condition], combine: str) -> AlertPolicy:
    """The policy that `create_alert_policy` sends.

    Raises:
        InvalidInput: there is no such metric or label, or the duration is none of whole minutes.
    """
    return AlertPolicy(
        display_name=name,
        combiner=_COMBINERS[combine],
        conditions=[_condition(condition) for condition in conditions],
    )


def _condition(condition: Condition) -> AlertPolicy.Condition:
    declared = METRICS.get(condition.metric)
    if declared is None:
        raise InvalidInput(f"there is no metric {condition.metric}: declare it in common/infrastructure/metrics.py")
    if condition.for_seconds < 0 or condition.for_seconds % 60:
        raise InvalidInput("an alert waits for whole minutes: give a multiple of 60 seconds")
    unknown = [label for label, _ in condition.labels if label not in declared["labels"]]
    if unknown:
        raise InvalidInput(f"{condition.metric} has no label {unknown[0]}")
    terms = [
        f'metric.type = "logging.googleapis.com/user/{condition.metric}"',
        f'resource.type = "{RESOURCE}"',
    ]
    terms += [f'metric.labels.{label} = "{_quoted(value)}"' for label, value in condition.labels]
    comparison = ComparisonType.COMPARISON_GT if condition.above else ComparisonType.COMPARISON_LT
    return AlertPolicy.Condition(
        display_name=f"{condition.metric} {'above' if condition.above else 'below'} {condition.threshold}",
        condition_threshold=AlertPolicy.Condition.MetricThreshold(
            filter=" AND ".join(terms),
            comparison=comparison,
            threshold_value=condition.threshold,
            duration=timedelta(seconds=condition.for_seconds),
            aggregations=[
                Aggregation(
                    alignment_period=timedelta(seconds=ALIGNMENT_SECONDS),
                    per_series_aligner=_ALIGNERS[str(declared["kind"])],
                )
            ],
        ),
    )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
