"""Push delivery: one loop per subscription with an endpoint, a bounded number of requests under way in each.

A delivery succeeds when the endpoint answers one of `SUCCESS` within the ack deadline; anything else, a redirect
included, is a failure, and the subscription's backoff decides when it is tried again.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.pubsub_v1 import types

    from tools.local.pubsub.messages import Delivery, Message
    from tools.local.pubsub.state import Subscription

log = logging.getLogger(__name__)

SUCCESS = frozenset({102, 200, 201, 202, 204})
"""Answers that acknowledge; a 102 can only be seen from a server that sends nothing after it and closes."""

MAX_OUTSTANDING = 32
"""Push requests under way per subscription; the service starts as low and learns how much the endpoint takes."""

MAX_ACK_DEADLINE = 600.0
"""Seconds; no push request of any subscription takes longer."""

_LEASE_MARGIN = 5.0
"""Seconds by which a lease outlives its request, so that the request's own time-out decides."""


class Pusher:
    """Keeps the push loops in step with the subscriptions; close it with `aclose`.

    Args:
        sign: makes the bearer token of a push for a service account's e-mail address and an audience.
    """

    def __init__(self, sign: Callable[[str, str], str]) -> None:
        self._sign = sign
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        # what is on this machine is not reached through a proxy
        self._client = httpx.AsyncClient(
            timeout=MAX_ACK_DEADLINE,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )

    def sync(self, subscription: Subscription) -> None:
        """Start or end the loop of a subscription that was created, changed or deleted."""
        name = subscription.config.name
        wanted = bool(subscription.config.push_config.push_endpoint) and not subscription.backlog.closed
        if wanted and name not in self._loops:
            self._loops[name] = asyncio.create_task(self._run(subscription), name=f"push to {name}")
            self._loops[name].add_done_callback(_report)
        elif not wanted and name in self._loops:
            task = self._loops.pop(name)
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def aclose(self) -> None:
        """End all loops, with the requests under way in them, and the connections."""
        tasks = [*self._loops.values(), *self._ending]
        self._loops.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _run(self, subscription: Subscription) -> None:
        slots = asyncio.Semaphore(MAX_OUTSTANDING)
        async with asyncio.TaskGroup() as requests:
            while not subscription.backlog.closed:
                await slots.acquire()
                lease = subscription.config.ack_deadline_seconds + _LEASE_MARGIN
                for delivery in await subscription.backlog.take_soon(1, lease=lease):
                    task = requests.create_task(self._deliver(subscription, delivery))
                    task.add_done_callback(lambda _task: slots.release())

    async def _deliver(self, subscription: Subscription, delivery: Delivery) -> None:
        endpoint = subscription.config.push_config.push_endpoint
        answer: object = None
        try:
            async with asyncio.timeout(subscription.config.ack_deadline_seconds):
                answer = await self._post(subscription.config, delivery)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, in the signer or the URL too, is a failed delivery
            answer = repr(error)
        if answer in SUCCESS:
            subscription.backlog.ack([delivery.ack_id])
        else:
            log.info("attempt %d to push to %s failed: %s", delivery.attempt, endpoint, answer)
            subscription.backlog.modify_deadline([delivery.ack_id], 0)

    async def _post(self, config: types.Subscription, delivery: Delivery) -> int:
        push = config.push_config
        headers, body = request_of(config, delivery)
        email = push.oidc_token.service_account_email
        if email:
            headers["Authorization"] = f"Bearer {self._sign(email, push.oidc_token.audience or push.push_endpoint)}"
        response = await self._client.post(push.push_endpoint, content=body, headers=headers)
        return response.status_code


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        log.error("the loop %s died", task.get_name(), exc_info=task.exception())


def request_of(config: types.Subscription, delivery: Delivery) -> tuple[dict[str, str], bytes]:
    """Headers and body of the push of one message, without the bearer token."""
    headers = {"User-Agent": "CloudPubSub-Google", "Accept": "application/json", "From": "noreply@google.com"}
    dead_letters = bool(config.dead_letter_policy.dead_letter_topic)
    if "no_wrapper" in config.push_config:
        if config.push_config.no_wrapper.write_metadata:
            headers |= _metadata(config.name, delivery, dead_letters=dead_letters)
        return headers, delivery.message.data
    envelope: dict[str, Any] = {"message": _wrapped(delivery.message), "subscription": config.name}
    if dead_letters:
        envelope["deliveryAttempt"] = delivery.attempt
    return headers | {"Content-Type": "application/json"}, json.dumps(envelope).encode()


def _wrapped(message: Message) -> dict[str, Any]:
    """The message as JSON, ids and times in both spellings; what is empty is left out, as protobuf's JSON does."""
    fields: dict[str, Any] = {
        "data": base64.b64encode(message.data).decode(),
        "attributes": dict(message.attributes),
        "messageId": message.id,
        "message_id": message.id,
        "publishTime": message.published,
        "publish_time": message.published,
        "orderingKey": message.ordering_key,
    }
    return {name: value for name, value in fields.items() if value}


def _metadata(subscription: str, delivery: Delivery, *, dead_letters: bool) -> dict[str, str]:
    message = delivery.message
    own = {
        "subscription-name": subscription,
        "message-id": message.id,
        "publish-time": message.published,
        "ordering-key": message.ordering_key,
        "delivery-attempt": str(delivery.attempt) if dead_letters else "",
    }
    return {**message.attributes, **{f"x-goog-pubsub-{name}": value for name, value in own.items() if value}}
