"""Money went back: have the credit note written and mailed."""

from __future__ import annotations

from common.billing.due import enqueue_documents
from common.events.types import PaymentRefunded
from common.functions import serve, subscribe


@subscribe("payment-refunded", enqueues=["generate_invoice"], secrets=["database-url"])
async def on_payment_refunded(event: PaymentRefunded) -> None:
    """Enqueue one task for each completed refund; its credit note was issued with it, if there was an invoice."""
    await enqueue_documents(event.workspace_id, event.payment_id, scope=event.refund_id)


main = serve(on_payment_refunded)
