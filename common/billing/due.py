"""Having a payment's documents written: a task of ``functions/jobs/generate_invoice``."""

from __future__ import annotations

import logging

from common.clock import BILLING_TZ
from common.database import fetch_one
from common.jobs import enqueue_job

log = logging.getLogger(__name__)


async def enqueue_documents(workspace_id: str, payment_id: str, *, scope: str) -> None:
    """Enqueue the job for one payment, once for each ``scope``: the payment itself, or one of its refunds.

    A payment that is gone, with its workspace, has its documents: it could not go before.

    Raises:
        Unavailable: it could not be enqueued now.
    """
    row = await fetch_one(
        """
        select to_char(completed_at at time zone %s, 'YYYY-MM') as period from payments
        where id = %s and workspace_id = %s and completed_at is not null
        """,
        (BILLING_TZ, payment_id, workspace_id),
    )
    if row is None:
        log.info("payment %s is gone or not completed: nothing to write", payment_id)
        return
    arguments = {"workspace_id": workspace_id, "period": row["period"], "payment_id": payment_id}
    await enqueue_job("generate_invoice", scope=scope, period=row["period"], arguments=arguments)
