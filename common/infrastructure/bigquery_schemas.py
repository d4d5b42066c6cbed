"""Our tables in BigQuery (R31), in plain literals: Terraform and the client make the same ones.

Every table is partitioned by day and refuses queries without a bound on it, so that no query reads years by mistake;
it is clustered by workspace first, since every query carries one. Costs are NUMERIC: a float loses paise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DATASET = "raptorflow_analytics"

Kind = Literal["STRING", "INTEGER", "NUMERIC", "BOOLEAN", "TIMESTAMP", "JSON"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: of the column.
        kind: BigQuery's type.
        required: never null.
    """

    name: str
    kind: Kind = "STRING"
    required: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """What a table is made of.

    Attributes:
        columns: in their order.
        id_column: tells one row from another; what deduplicates and merges go by.
        partition_by: a TIMESTAMP column, by whose day rows are stored.
        cluster_by: up to four columns by which rows of a day are sorted.
    """

    columns: tuple[Column, ...]
    id_column: str
    partition_by: str = "created_at"
    cluster_by: tuple[str, ...] = field(default=())


def _required(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, required=True) for name in names)


usage_events_schema = TableSchema(
    columns=(
        *_required("event_id", "workspace_id", "user_id", "feature", "usage_type"),
        Column("usage_amount", "NUMERIC", required=True),
        Column("usage_unit", required=True),
        Column("cost_usd", "NUMERIC"),
        Column("pricing_tier"),
        Column("session_id"),
        Column("request_id"),
        Column("metadata", "JSON"),
        Column("created_at", "TIMESTAMP", required=True),
    ),
    id_column="event_id",
    cluster_by=("workspace_id", "feature", "usage_type"),
)
"""What was used, one row for each use or, from the daily summary, for each counter of a day."""

agent_executions_schema = TableSchema(
    columns=(
        *_required("execution_id", "workspace_id", "user_id", "agent_type", "agent_id", "status"),
        Column("input_tokens", "INTEGER"),
        Column("output_tokens", "INTEGER"),
        Column("execution_time_ms", "INTEGER"),
        Column("cost_usd", "NUMERIC"),
        Column("model_used"),
        Column("error_type"),
        Column("error_message"),
        Column("request_metadata", "JSON"),
        Column("response_metadata", "JSON"),
        Column("created_at", "TIMESTAMP", required=True),
        Column("started_at", "TIMESTAMP"),
        Column("completed_at", "TIMESTAMP"),
    ),
    id_column="execution_id",
    cluster_by=("workspace_id", "agent_type", "status"),
)
"""What agents did."""

user_events_schema = TableSchema(
    columns=(
        *_required("event_id", "workspace_id", "user_id", "event_type", "action"),
        Column("resource_type"),
        Column("resource_id"),
        Column("ip"),
        Column("user_agent"),
        Column("success", "BOOLEAN"),
        Column("created_at", "TIMESTAMP", required=True),
    ),
    id_column="event_id",
    cluster_by=("workspace_id", "event_type"),
)
"""What people did."""
