"""Loading rows: all or none, once for each key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from common.errors import InvalidInput, Unavailable
from common.infrastructure.bigquery import BigQueryClient
from tests.infrastructure.bigquery.rows import count, row


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
