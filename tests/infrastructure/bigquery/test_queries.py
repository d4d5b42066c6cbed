"""BigQuery through our client, on the real library: asked, and told what was wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import NotFound as GoogleNotFound

from common.errors import InvalidInput, Misconfigured
from common.infrastructure.bigquery import BigQueryClient, bigquery_client
from common.infrastructure.bigquery_schemas import (
    usage_events_schema,
)
from common.infrastructure.errors import NotFound

if TYPE_CHECKING:
    from tests.stack import Stack
from tests.infrastructure.bigquery.rows import COUNT, DAY, SINCE, count, row


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
