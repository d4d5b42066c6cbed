"""BigQuery through our client, on the real library: asked, written once, told what was wrong."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import NotFound as GoogleNotFound
from google.cloud import bigquery

from common.errors import InvalidInput, Misconfigured, Unavailable
from common.infrastructure.bigquery import MAX_BATCH_ROWS, BigQueryClient, bigquery_client
from common.infrastructure.bigquery_rows import BadRow, PartlyInserted
from common.infrastructure.bigquery_schemas import (
    DATASET,
    Column,
    TableSchema,
    agent_executions_schema,
    usage_events_schema,
    user_events_schema,
)
from common.infrastructure.errors import NotFound
from tests.tools.local.storage.server import running
from tools.local.bigquery.app import application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import Stack

DAY = datetime(2026, 11, 24, tzinfo=UTC)
SINCE = {"since": DAY}
COUNT = "select count(*) as n from raptorflow_analytics.usage_events where created_at >= @since"


@pytest.fixture
def service(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local BigQuery of the test's own."""
    del stack
    with running(tmp_path, application=application) as url:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
        yield


@pytest.fixture
def library(service: None) -> bigquery.Client:
    """Google's client, with the dataset made."""
    del service
    made = bigquery_client_of_the_library()
    made.create_dataset(DATASET)
    return made


def bigquery_client_of_the_library() -> bigquery.Client:
    from google.auth.credentials import AnonymousCredentials

    return bigquery.Client(
        project=os.environ["GOOGLE_CLOUD_PROJECT"],
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
    )


@pytest.fixture
async def client(library: bigquery.Client) -> BigQueryClient:
    del library
    made = bigquery_client()
    await made.create_table_if_not_exists("usage_events", usage_events_schema)
    return made


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "workspace_id": "w1",
        "user_id": "u1",
        "feature": "muse",
        "usage_type": "tokens",
        "usage_amount": Decimal("1234.000000001"),
        "usage_unit": "token",
        "cost_usd": Decimal("0.1"),
        "metadata": {"model": "x", "n": [1, None]},
        "created_at": DAY + timedelta(seconds=number),
        **changes,
    }


async def count(client: BigQueryClient) -> int:
    (found,) = await client.execute_query(COUNT, SINCE)
    n: int = found["n"]
    return n


async def test_what_is_written_is_read_back_exactly(client: BigQueryClient) -> None:
    assert await client.insert_rows("usage_events", [row(1)], id_column="event_id") == []
    sql = """select event_id, usage_amount, cost_usd, json_value(metadata, '$.model') as model, created_at
             from raptorflow_analytics.usage_events where created_at >= @since and workspace_id = @workspace"""
    (found,) = await client.execute_query(sql, {**SINCE, "workspace": "w1"})
    assert found == {
        "event_id": "e1",
        "usage_amount": Decimal("1234.000000001"),
        "cost_usd": Decimal("0.1"),
        "model": "x",
        "created_at": DAY + timedelta(seconds=1),
    }
    assert await client.execute_query(sql, {**SINCE, "workspace": "w2"}) == []


async def test_parameters_of_every_type(client: BigQueryClient) -> None:
    values: dict[str, Any] = {
        "truth": True,
        "whole": 2**62,
        "real": 0.5,
        "exact": Decimal("0.1"),
        "text": "'; drop table x; -- ₹",
        "moment": DAY,
        "day": date(2026, 11, 24),
        "list": ["a", "b"],
    }
    columns = ", ".join(f"@{name} as {name}" for name in values)
    assert await client.execute_query(f"select {columns}", values) == [values]


@pytest.mark.parametrize(
    "value",
    [None, [], ["a", 1], float("nan"), Decimal("inf"), 2**63, datetime(2026, 1, 1), object()],  # noqa: DTZ001
)
async def test_parameters_that_cannot_be_are_refused_by_name(client: BigQueryClient, value: Any) -> None:
    with pytest.raises(InvalidInput, match="wrong"):
        await client.execute_query("select @wrong", {"wrong": value})


async def test_each_bad_row_is_told_and_the_others_are_in(client: BigQueryClient) -> None:
    rows = [row(1), row(2, workspace_id=None), row(3, unknown="x"), row(4, created_at="yesterday"), row(5)]
    bad = await client.insert_rows("usage_events", rows)
    assert [(one.index, one.column) for one in bad] == [(1, "workspace_id"), (2, "unknown"), (3, "created_at")]
    assert bad[0] == BadRow(1, "workspace_id", "Missing required field: workspace_id.")
    assert await count(client) == 2


async def test_a_row_that_cannot_be_written_stops_everything_before_it_starts(client: BigQueryClient) -> None:
    with pytest.raises(InvalidInput, match="cost_usd"):
        await client.insert_rows("usage_events", [row(1), row(2, cost_usd=float("nan"))])
    assert await count(client) == 0


async def test_a_row_without_the_id_that_tells_copies_is_refused(client: BigQueryClient) -> None:
    with pytest.raises(InvalidInput, match="every row needs event_id"):
        await client.insert_rows("usage_events", [row(1), row(2, event_id=None)], id_column="event_id")


async def test_many_rows_go_in_batches_and_are_numbered_through(client: BigQueryClient) -> None:
    rows = [row(number) for number in range(MAX_BATCH_ROWS + 10)]
    rows[MAX_BATCH_ROWS + 3]["user_id"] = None
    assert [one.index for one in await client.insert_rows("usage_events", rows)] == [MAX_BATCH_ROWS + 3]
    assert await count(client) == MAX_BATCH_ROWS + 9


async def test_a_later_request_that_fails_loses_no_report_of_an_earlier_one(
    client: BigQueryClient, library: bigquery.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number) for number in range(3 * MAX_BATCH_ROWS)]
    rows[7]["user_id"] = rows[MAX_BATCH_ROWS + 3]["user_id"] = None
    insert = BigQueryClient._insert
    requests = 0

    def gone_at_the_third(self: BigQueryClient, *given: Any) -> Any:
        nonlocal requests
        requests += 1
        if requests == 3:
            library.delete_table(f"{DATASET}.usage_events")
        return insert(self, *given)

    monkeypatch.setattr(BigQueryClient, "_insert", gone_at_the_third)
    with pytest.raises(PartlyInserted, match="after 1000 rows, of which 2 were refused") as caught:
        await client.insert_rows("usage_events", rows, id_column="event_id")
    assert [one.index for one in caught.value.bad] == [7, MAX_BATCH_ROWS + 3]
    assert (caught.value.answered, caught.value.doubtful) == (2 * MAX_BATCH_ROWS, 3 * MAX_BATCH_ROWS)
    assert isinstance(caught.value.__cause__, NotFound)


async def test_what_an_outage_stopped_half_way_is_sent_again_from_there(
    client: BigQueryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(number) for number in range(MAX_BATCH_ROWS + 10)]
    insert = BigQueryClient._insert
    outages = [None, Unavailable("down")]

    def down_at_the_second(self: BigQueryClient, *given: Any) -> Any:
        if outages and (outage := outages.pop(0)):
            insert(self, *given)  # its answer is lost
            raise outage
        return insert(self, *given)

    monkeypatch.setattr(BigQueryClient, "_insert", down_at_the_second)
    with pytest.raises(PartlyInserted) as caught:
        await client.insert_rows("usage_events", rows, id_column="event_id")
    assert isinstance(caught.value.__cause__, Unavailable)
    assert await client.insert_rows("usage_events", rows[caught.value.answered :], id_column="event_id") == []
    assert await count(client) == MAX_BATCH_ROWS + 10


async def test_streamed_twice_within_a_minute_is_one_row(client: BigQueryClient) -> None:
    for _ in range(2):
        await client.insert_rows("usage_events", [row(1)], id_column="event_id")
    assert await count(client) == 1


async def test_loaded_twice_or_ten_at_once_is_loaded_once(client: BigQueryClient) -> None:
    rows = [row(number) for number in range(3)]
    loads = [client.load_rows("usage_events", rows, key="daily_usage/2026-11-24") for _ in range(10)]
    assert set(await asyncio.gather(*loads)) == {3}
    assert await client.load_rows("usage_events", rows, key="daily_usage/2026-11-24") == 3
    assert await count(client) == 3
    assert await client.load_rows("usage_events", rows[:1], key="daily_usage/2026-11-25") == 1
    assert await count(client) == 4


async def test_a_load_is_all_or_nothing_and_may_be_mended_under_its_key(client: BigQueryClient) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match="Missing required field: user_id"):
            await client.load_rows("usage_events", [row(1), row(2, user_id=None)], key="k")
        assert await count(client) == 0
    assert await client.load_rows("usage_events", [row(1), row(2)], key="k") == 2
    assert await count(client) == 2


@pytest.mark.parametrize("write", ["insert", "load"])
async def test_json_is_json_and_not_text_whichever_way_it_came(client: BigQueryClient, write: str) -> None:
    if write == "insert":
        assert await client.insert_rows("usage_events", [row(1)]) == []
    else:
        await client.load_rows("usage_events", [row(1)], key="k")
    sql = "select json_value(metadata, '$.model') as model from raptorflow_analytics.usage_events"
    assert await client.execute_query(f"{sql} where created_at >= @since", SINCE) == [{"model": "x"}]


async def test_an_outage_takes_one_id_a_call_and_leaves_the_key_usable(
    client: BigQueryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    load = BigQueryClient._load

    def failing(self: BigQueryClient, target: str, rows: Any, job_id: str, *rest: Any) -> tuple[int, str, bool]:
        is_new = job_id not in made
        made.append(job_id)
        return 0, "backendError: try again", is_new

    monkeypatch.setattr(BigQueryClient, "_load", failing)
    for _ in range(6):
        with pytest.raises(Unavailable, match="call again"):
            await client.load_rows("usage_events", [row(1)], key="k")
    assert len(set(made)) == 6
    # Now the service is back; the six failed jobs keep their ids.
    monkeypatch.setattr(
        BigQueryClient, "_load", lambda *given: (0, "backendError", False) if given[3] in made else load(*given)
    )
    assert await client.load_rows("usage_events", [row(1)], key="k") == 1
    assert await count(client) == 1


async def test_a_key_whose_ids_are_used_up_asks_for_another(
    client: BigQueryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BigQueryClient, "_load", lambda *_: (0, "backendError", False))
    with pytest.raises(InvalidInput, match="take another key"):
        await client.load_rows("usage_events", [row(1)], key="k")


async def test_a_request_repeated_by_the_library_streams_each_row_once(
    client: BigQueryClient, library: bigquery.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = BigQueryClient._insert

    def twice(self: BigQueryClient, *given: Any) -> Any:
        insert(self, *given)  # its answer is lost
        return insert(self, *given)

    monkeypatch.setattr(BigQueryClient, "_insert", twice)
    assert await client.insert_rows("usage_events", [row(1), row(1)]) == []
    assert await count(client) == 2


async def test_merge_is_a_statement_like_any(client: BigQueryClient) -> None:
    await client.insert_rows("usage_events", [row(1)])
    merge = """
        merge raptorflow_analytics.usage_events t using (select @id as event_id, @cost as cost_usd) s
        on t.event_id = s.event_id and t.created_at >= @since
        when matched then update set cost_usd = s.cost_usd
    """
    assert await client.execute_query(merge, {**SINCE, "id": "e1", "cost": Decimal("0.2")}) == []
    sql = "select cost_usd from raptorflow_analytics.usage_events where created_at >= @since"
    assert await client.execute_query(sql, SINCE) == [{"cost_usd": Decimal("0.2")}]


async def test_a_result_is_read_page_by_page(client: BigQueryClient) -> None:
    sql = "select n from unnest(generate_array(1, 25)) as n order by n"
    pages = [found["n"] async for found in client.stream_query(sql, page_rows=10)]
    assert pages == list(range(1, 26))
    assert [found["n"] for found in await client.execute_query(sql)] == pages


async def test_a_query_that_reads_too_much_is_refused(client: BigQueryClient) -> None:
    await client.insert_rows("usage_events", [row(number) for number in range(100)])
    with pytest.raises(InvalidInput):
        await client.execute_query(COUNT, SINCE, max_bytes=1)
    assert await count(client) == 100


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from raptorflow_analytics.usage_events",  # no bound on the partitions
        "selekt 1",
        "select @missing",
        "select 1; select 2",
        "drop table raptorflow_analytics.usage_events",
        "select nothing from (select 1 as n)",
    ],
)
async def test_statements_that_are_wrong_are_the_callers_fault(client: BigQueryClient, sql: str) -> None:
    with pytest.raises(InvalidInput):
        await client.execute_query(sql)


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


async def test_what_is_not_there_is_said_so(stack: Stack) -> None:
    del stack
    made = bigquery_client()
    with pytest.raises(NotFound):
        await made.insert_rows("usage_events", [row(1)])
    with pytest.raises(NotFound) as caught:
        await made.execute_query(COUNT, SINCE)
    assert isinstance(caught.value.__cause__, GoogleNotFound)
    with pytest.raises(NotFound):
        await made.create_table_if_not_exists("usage_events", usage_events_schema)


@pytest.mark.parametrize("table", ["", "a b", "x;drop", "p.d.t", "../t", "a." + "b" * 2000])
async def test_a_name_that_is_no_table_is_refused(stack: Stack, table: str) -> None:
    del stack
    with pytest.raises(InvalidInput, match="table"):
        await bigquery_client().insert_rows(table, [])


async def test_an_emulator_is_refused_where_deployed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    del stack
    monkeypatch.setenv("K_SERVICE", "job-daily-usage-summary")
    with pytest.raises(Misconfigured):
        await BigQueryClient().execute_query("select 1")


def test_the_facade_loads_the_library_at_the_first_call_only() -> None:
    code = (
        "import sys, common.infrastructure.bigquery, common.infrastructure.bigquery_schemas;"
        " sys.exit(any(name.startswith('google.cloud.') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "."}, check=True)
