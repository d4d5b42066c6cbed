"""The table ``webhook_events``: which occurrence has had its effect.

The row is written in the effect's own transaction, so the key is never burnt before the effect, nor the effect
repeated after it. Two findings are not final, ``unknown_order`` and ``amount_mismatch``: where the sender only presents
a constant header, anybody who has seen it could otherwise burn a real payment's key with an invented body. ``parked``
is final for the delivery and not for the effect: a refund that came before its payment, see ``refunds``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from common import clock
from common.database import execute, fetch_one, transaction
from common.webhooks.phonepe import SOURCE

if TYPE_CHECKING:
    from common.functions import Delivery

Status = Literal["applied", "ignored", "duplicate", "parked", "unknown_order", "amount_mismatch"]
FINAL = ["applied", "ignored", "duplicate", "parked"]


async def is_settled(dedupe_key: str) -> bool:
    """Whether the occurrence has had its effect, or needs none."""
    row = await fetch_one(
        "select 1 as found from webhook_events where source = %s and dedupe_key = %s and status = any(%s)",
        (SOURCE, dedupe_key, FINAL),
    )
    return row is not None


async def claim(delivery: Delivery, status: Status) -> bool:
    """Write the occurrence's row in the bound transaction; False where another delivery of it was settled first.

    A concurrent delivery waits here until the first has committed or rolled back.
    """
    row = await fetch_one(
        """
        insert into webhook_events as e (source, dedupe_key, received_at, payload, status, applied_at)
        values (%(source)s, %(key)s, %(received)s, %(payload)s, %(status)s, %(now)s)
        on conflict (source, dedupe_key) do update
            set payload = excluded.payload, status = excluded.status, applied_at = excluded.applied_at
            where e.status <> all(%(final)s)
        returning 1 as claimed
        """,
        {
            "source": SOURCE,
            "key": delivery.id,
            "received": delivery.publish_time,
            "payload": delivery.data,
            "status": status,
            "now": clock.now() if status == "applied" else None,
            "final": FINAL,
        },
    )
    return row is not None


async def settle(delivery: Delivery, status: Status) -> None:
    """Record an occurrence that changes nothing else."""
    async with transaction():
        await claim(delivery, status)


async def annotate(delivery: Delivery, status: Status, workspace_id: str) -> None:
    """Correct the claimed row once it is known what became of it, and whose it is."""
    await execute(
        "update webhook_events set status = %s, workspace_id = %s where source = %s and dedupe_key = %s",
        (status, workspace_id, SOURCE, delivery.id),
    )


async def unpark(merchant_refund_id: str, status: Status, workspace_id: str) -> None:
    """Note what became of what was parked about a refund; a body without a name has a key that does not tell its id."""
    await execute(
        """
        update webhook_events
        set status = %(status)s, applied_at = case when %(status)s = 'applied' then %(now)s::timestamptz end
        where source = %(source)s and workspace_id = %(workspace)s and status = 'parked'
          and (split_part(dedupe_key, '/', 3) = %(refund)s or position(%(quoted)s::bytea in payload) > 0)
        """,
        {
            "status": status,
            "now": clock.now(),
            "source": SOURCE,
            "workspace": workspace_id,
            "refund": merchant_refund_id,
            "quoted": f'"{merchant_refund_id}"'.encode(),
        },
    )
