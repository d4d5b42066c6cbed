"""Making tables in BigQuery, and giving old ones the columns that they lack. Imports the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import Conflict, PreconditionFailed
from google.cloud import bigquery

from common.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from common.infrastructure.bigquery_schemas import TableSchema


def create_or_complete(
    client: bigquery.Client, target: str, schema: TableSchema, *, retry: Any, timeout: float
) -> bool:
    """See `BigQueryClient.create_table_if_not_exists`; ``target`` is ``project.dataset.table``."""
    table = _table(target, schema)
    try:
        client.create_table(table, retry=retry, timeout=timeout)
    except Conflict:
        return _complete(client, target, table.schema, retry=retry, timeout=timeout)
    return True


def _complete(
    client: bigquery.Client, target: str, wanted: list[bigquery.SchemaField], *, retry: Any, timeout: float
) -> bool:
    for _ in range(3):  # another instance may add the same columns at the same time
        table = client.get_table(target, retry=retry, timeout=timeout)
        there = {field.name.lower(): field for field in table.schema}
        for field in wanted:
            found = there.get(field.name.lower())
            if found is not None and found.field_type != field.field_type:
                raise InvalidInput(f"{target} has {field.name} as {found.field_type}, not {field.field_type}")
        missing = [field for field in wanted if field.name.lower() not in there]
        if not missing:
            return False
        table.schema = [*table.schema, *(bigquery.SchemaField(field.name, field.field_type) for field in missing)]
        try:
            client.update_table(table, ["schema"], retry=retry, timeout=timeout)
        except PreconditionFailed:
            continue
        return True
    raise Unavailable(f"{target} is being changed by others")


def _table(target: str, schema: TableSchema) -> bigquery.Table:
    columns = [
        bigquery.SchemaField(column.name, column.kind, "REQUIRED" if column.required else "NULLABLE")
        for column in schema.columns
    ]
    table = bigquery.Table(target, columns)
    table.time_partitioning = bigquery.TimePartitioning(field=schema.partition_by)
    table.require_partition_filter = True
    table.clustering_fields = list(schema.cluster_by) or None
    return table
