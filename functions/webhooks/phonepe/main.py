"""PhonePe's webhook: verify, publish, acknowledge. What it means is decided in ``events/on_phonepe_event``."""

from __future__ import annotations

import logging

from common.errors import InvalidInput, Misconfigured
from common.events.message import message_attributes
from common.functions import Rejected, Request, Unverified, serve, webhook
from common.lifecycle import per_loop
from common.webhooks.phonepe import parse_event

from .endpoint import PhonePeEndpoint

log = logging.getLogger(__name__)
_endpoint = per_loop(PhonePeEndpoint.from_environment)


@webhook(
    publishes=["webhook-phonepe"],
    secrets=["phonepe-webhook-secrets", "upstash-redis-token", "upstash-redis-url"],
    timeout=30,
)
async def phonepe(request: Request) -> None:
    """Take PhonePe's payment and refund notifications and publish each as one CloudEvent.

    Nothing is remembered before the publish succeeded: a crash costs a duplicate, never a payment.
    """
    try:
        endpoint = _endpoint()
    except Misconfigured as error:
        log.error("every webhook is refused: %s", error)  # noqa: TRY400 - the sentence says all, a stack nothing
        raise Rejected(401, "the request is not authenticated") from None
    if not endpoint.verifies(request):
        raise Unverified
    try:
        event = parse_event(request.body)
    except InvalidInput as error:
        raise Rejected(400, str(error)) from None
    attributes = message_attributes(
        id=event.event_id,
        source="//raptorflow/webhooks/phonepe/phonepe",
        type="raptorflow.webhook.phonepe.v1",
        time=event.timestamp,
        subject=event.subject,
        extensions={"eventtype": event.event_type, "signaturescheme": endpoint.mode},
    )
    from common.infrastructure.pubsub_publisher import pubsub_publisher  # noqa: PLC0415 - after the cold start

    await pubsub_publisher().publish("webhook-phonepe", request.body, attributes=attributes)


main = serve(phonepe)
