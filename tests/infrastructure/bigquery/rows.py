"""Rows of `usage_events`, and how many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.infrastructure.bigquery import BigQueryClient

DAY = datetime(2026, 11, 24, tzinfo=UTC)
SINCE = {"since": DAY}
COUNT = "select count(*) as n from raptorflow_analytics.usage_events where created_at >= @since"


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
