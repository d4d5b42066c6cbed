"""Streaming rows: each once, and each that is refused told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.errors import InvalidInput, Unavailable
from common.infrastructure.bigquery import MAX_BATCH_ROWS, BigQueryClient
from common.infrastructure.bigquery_rows import BadRow, PartlyInserted
from common.infrastructure.bigquery_schemas import (
    DATASET,
)
from common.infrastructure.errors import NotFound
from tests.infrastructure.bigquery.rows import SINCE, count, row

if TYPE_CHECKING:
    from google.cloud import bigquery


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


@pytest.mark.parametrize("write", ["insert", "load"])
async def test_json_is_json_and_not_text_whichever_way_it_came(client: BigQueryClient, write: str) -> None:
    if write == "insert":
        assert await client.insert_rows("usage_events", [row(1)]) == []
    else:
        await client.load_rows("usage_events", [row(1)], key="k")
    sql = "select json_value(metadata, '$.model') as model from raptorflow_analytics.usage_events"
    assert await client.execute_query(f"{sql} where created_at >= @since", SINCE) == [{"model": "x"}]


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
