"""Making tables: once, and with new columns later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from common.errors import InvalidInput
from common.infrastructure.bigquery import BigQueryClient, bigquery_client
from common.infrastructure.bigquery_schemas import (
    DATASET,
    Column,
    TableSchema,
    agent_executions_schema,
    usage_events_schema,
    user_events_schema,
)
from tests.infrastructure.bigquery.rows import count, row

if TYPE_CHECKING:
    from google.cloud import bigquery


@pytest.mark.parametrize("schema", [usage_events_schema, agent_executions_schema, user_events_schema])
async def test_our_tables_are_made_once_partitioned_and_clustered(
    library: bigquery.Client, schema: TableSchema
) -> None:
    made = [await bigquery_client().create_table_if_not_exists("t", schema) for _ in range(2)]
    assert made == [True, False]
    table = library.get_table(f"{DATASET}.t")
    assert [(field.name, field.field_type) for field in table.schema] == [(c.name, c.kind) for c in schema.columns]
    assert table.time_partitioning is not None
    assert (table.time_partitioning.field, table.require_partition_filter) == ("created_at", True)
    assert tuple(table.clustering_fields or ()) == schema.cluster_by
    assert schema.id_column in {column.name for column in schema.columns if column.required}


async def test_columns_are_added_and_never_changed(library: bigquery.Client, client: BigQueryClient) -> None:
    await client.insert_rows("usage_events", [row(1)])
    columns = usage_events_schema.columns
    wider = TableSchema((*columns, Column("region", required=True), Column("retries", "INTEGER")), "event_id")
    assert await client.create_table_if_not_exists("usage_events", wider)
    added = library.get_table(f"{DATASET}.usage_events").schema[-2:]
    assert [(field.name, field.field_type, field.mode) for field in added] == [
        ("region", "STRING", "NULLABLE"),
        ("retries", "INTEGER", "NULLABLE"),
    ]
    assert await client.insert_rows("usage_events", [row(2, region="in", retries=1)]) == []
    assert await count(client) == 2
    other = TableSchema((*columns[:-1], Column("created_at", "STRING")), "event_id")
    with pytest.raises(InvalidInput, match="created_at as TIMESTAMP"):
        await client.create_table_if_not_exists("usage_events", other)


async def test_ten_instances_at_once_add_a_column_once(client: BigQueryClient, library: bigquery.Client) -> None:
    wider = TableSchema((*usage_events_schema.columns, Column("region")), "event_id")
    made = await asyncio.gather(*(client.create_table_if_not_exists("usage_events", wider) for _ in range(10)))
    assert sum(made) >= 1
    names = [field.name for field in library.get_table(f"{DATASET}.usage_events").schema]
    assert names.count("region") == 1
