"""Which metrics there are, and how one is recorded.

    record_metric("raptorflow_mails_total", 1, {"kind": "invoice"})

`METRICS` is plain literals, from which the manifest makes log-based metrics. A metric is read off log lines by Cloud
Logging, so that recording one costs no call, no library and no flush. The names follow Prometheus: base units,
``_total`` for counters. Labels take few different values: no ids, no addresses.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from common.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("raptorflow.metric")

MAX_LABEL = 100
"""Characters of a label's value: more is content, not a label."""

METRICS = {
    "raptorflow_requests_total": {
        "kind": "counter",
        "description": "Invocations, by how they ended: done, rejected, retry, drop, failed or disconnected.",
        "unit": "1",
        "labels": ["function", "outcome"],
        "line": "raptorflow.request",
    },
    "raptorflow_request_seconds": {
        "kind": "histogram",
        "description": "How long invocations took.",
        "unit": "s",
        "labels": ["function"],
        "line": "raptorflow.request",
    },
    "raptorflow_span_seconds": {
        "kind": "histogram",
        "description": "How long calls to other services took, where the trace is sampled; every one that failed.",
        "unit": "s",
        "labels": ["span"],
        "line": "raptorflow.span",
    },
    "raptorflow_events_total": {
        "kind": "counter",
        "description": "Events that were published, by type: payments, subscriptions, refunds and the like.",
        "unit": "1",
        "labels": ["type"],
        "line": "raptorflow.metric",
    },
    "raptorflow_mails_total": {
        "kind": "counter",
        "description": "Mails that the provider took, by kind.",
        "unit": "1",
        "labels": ["kind"],
        "line": "raptorflow.metric",
    },
}
"""Name to what it is. ``line`` is the logger: the summary line, a span's line, or one that `record_metric` writes."""


def record_metric(name: str, value: float = 1, labels: Mapping[str, str] | None = None) -> None:
    """Record what a histogram observed, or one more of what a counter counts: Cloud Logging counts its lines.

    Raises:
        InvalidInput: there is no such metric, it has other labels, or the value cannot be.
    """
    labels = labels or {}
    declared = METRICS.get(name)
    if declared is None or declared["line"] != log.name:
        raise InvalidInput(f"no metric {name} is recorded: declare it in common/infrastructure/metrics.py")
    if sorted(labels) != sorted(declared["labels"]):
        raise InvalidInput(f"{name} has the labels {', '.join(declared['labels'])}, not {', '.join(labels) or 'none'}")
    if any(len(text) > MAX_LABEL for text in labels.values()):
        raise InvalidInput(f"a label of {name} has more than {MAX_LABEL} characters")
    if declared["kind"] == "counter" and value != 1:
        raise InvalidInput(f"{name} counts one at a time, not {value}: record it so often, or declare a histogram")
    if not math.isfinite(value) or value < 0:
        raise InvalidInput(f"{name} takes finite numbers from 0 on, not {value}")
    log.info("%s %s", name, value, extra={"fields": {"metric": name, "value": value, "labels": dict(labels)}})
