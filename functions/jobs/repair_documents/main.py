"""Documents that are missing in the morning: another task for each payment that lacks one.

Cloud Tasks forgets a task after its last attempt without a word, even where no instance ever saw it; and nobody tells
us when a buyer completes the billing profile. So what is missing is looked for, and not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from common import clock
from common.billing.fiscal import billing_date
from common.functions import serve
from common.jobs import enqueue_job, job

from . import missing

IN_WORK = timedelta(hours=5)
"""After a payment, while its own event and task are still being tried."""


@job("repair_documents", schedule="10 6 * * *", enqueues=["generate_invoice"], secrets=["database-url"])
async def repair_documents_job() -> Mapping[str, Any]:
    """Have what is missing of each payment's documents written: once a day, until it is there or a person must look."""
    day = billing_date(clock.now())
    enqueued = 0
    async for payment in missing.payments(clock.now() - IN_WORK):
        arguments = {
            "workspace_id": str(payment["workspace_id"]),
            "period": payment["period"],
            "payment_id": str(payment["id"]),
        }
        # A period of its own: the payment's own run may be completed, and answer with its result.
        await enqueue_job("generate_invoice", scope=str(payment["id"]), period=f"{day}", arguments=arguments)
        enqueued += 1
    return {"enqueued": enqueued}


main = serve(repair_documents_job)
