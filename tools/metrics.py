"""The literals of ``common/infrastructure/metrics.py`` as log-based metrics, in the words that Terraform needs.

Source of the extractors' syntax: https://cloud.google.com/logging/docs/logs-based-metrics/labels
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.imports import Graph

MODULE = "common.infrastructure.metrics"
_RECORDED = "raptorflow.metric"
_EXTRACTORS = {
    "function": "EXTRACT(labels.function)",
    "outcome": "EXTRACT(jsonPayload.outcome)",
    "span": "EXTRACT(jsonPayload.span.name)",
}
"""Where the labels of summary lines and spans stand; a recorded metric's stand in ``jsonPayload.labels``."""


def log_metrics(graph: Graph) -> dict[str, Any]:
    """Name to definition; empty where the repository declares none.

    Raises:
        ValueError: they are not literals.
        KeyError: a label of a line that has no such field.
    """
    source = graph.source(MODULE)
    if source is None or "METRICS" not in source.constants:
        return {}
    return {name: _definition(name, metric) for name, metric in ast.literal_eval(source.constants["METRICS"]).items()}


def _definition(name: str, metric: dict[str, Any]) -> dict[str, Any]:
    recorded = metric["line"] == _RECORDED
    terms = [f'jsonPayload.logger="{metric["line"]}"', *([f'jsonPayload.metric="{name}"'] if recorded else [])]
    value = "EXTRACT(jsonPayload.value)" if recorded else "EXTRACT(jsonPayload.span.seconds)"
    labels = {
        label: f"EXTRACT(jsonPayload.labels.{label})" if recorded else _EXTRACTORS[label] for label in metric["labels"]
    }
    return {
        "description": metric["description"],
        "kind": metric["kind"],
        "unit": metric["unit"],
        "filter": " AND ".join(terms),
        # A counter counts lines: only a distribution takes a value out of them.
        "value": value if metric["kind"] == "histogram" else "",
        "labels": labels,
    }
