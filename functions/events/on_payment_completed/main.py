"""Money arrived: have the invoice written and mailed."""

from __future__ import annotations

from common.billing.due import enqueue_documents
from common.events.types import PaymentCompleted
from common.functions import serve, subscribe


@subscribe("payment-completed", enqueues=["generate_invoice"], secrets=["database-url"])
async def on_payment_completed(event: PaymentCompleted) -> None:
    """Enqueue one invoice task for each completed payment, however often the event is delivered."""
    await enqueue_documents(event.workspace_id, event.payment_id, scope=event.payment_id)


main = serve(on_payment_completed)
