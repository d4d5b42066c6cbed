"""The RPCs of ``google.pubsub.v1.Subscriber``; the streaming one is `streaming`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
from google.pubsub_v1 import types

from tools.local.pubsub import rules
from tools.local.pubsub.errors import not_found
from tools.local.pubsub.streaming import received, streaming_pull
from tools.local.rpc import invalid, page, streams, unary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from tools.local.pubsub.state import State, Subscription
    from tools.local.rpc import Context

MAX_PULL_WAIT = 20.0
"""Seconds until a pull without messages answers; the service only promises "a bounded time"."""


def handler(state: State, on_change: Callable[[Subscription], None]) -> grpc.GenericRpcHandler:
    """The service's methods over ``state``; ``on_change`` hears of every new, changed and deleted subscription."""
    rpcs = _Subscriber(state, on_change)
    return grpc.method_handlers_generic_handler(
        "google.pubsub.v1.Subscriber",
        {
            "CreateSubscription": unary(types.Subscription, types.Subscription, rpcs.create),
            "GetSubscription": unary(types.GetSubscriptionRequest, types.Subscription, rpcs.get),
            "UpdateSubscription": unary(types.UpdateSubscriptionRequest, types.Subscription, rpcs.update),
            "ListSubscriptions": unary(
                types.ListSubscriptionsRequest, types.ListSubscriptionsResponse, rpcs.list_subscriptions
            ),
            "DeleteSubscription": unary(types.DeleteSubscriptionRequest, None, rpcs.delete),
            "ModifyPushConfig": unary(types.ModifyPushConfigRequest, None, rpcs.modify_push_config),
            "Pull": unary(types.PullRequest, types.PullResponse, rpcs.pull),
            "StreamingPull": streams(types.StreamingPullRequest, types.StreamingPullResponse, rpcs.streaming_pull),
            "Acknowledge": unary(types.AcknowledgeRequest, None, rpcs.acknowledge),
            "ModifyAckDeadline": unary(types.ModifyAckDeadlineRequest, None, rpcs.modify_ack_deadline),
            "Seek": unary(types.SeekRequest, types.SeekResponse, rpcs.seek),
        },
    )


class _Subscriber:
    def __init__(self, state: State, on_change: Callable[[Subscription], None]) -> None:
        self._state = state
        self._on_change = on_change

    async def create(self, request: types.Subscription, _context: Context) -> types.Subscription:
        return self._changed(self._state.create_subscription(request))

    async def get(self, request: types.GetSubscriptionRequest, _context: Context) -> types.Subscription:
        return self._state.subscription(request.subscription).config

    async def update(self, request: types.UpdateSubscriptionRequest, _context: Context) -> types.Subscription:
        return self._changed(self._state.update_subscription(request.subscription, request.update_mask.paths))

    async def list_subscriptions(
        self, request: types.ListSubscriptionsRequest, _context: Context
    ) -> types.ListSubscriptionsResponse:
        subscriptions = self._state.subscriptions_of(request.project)
        names = [subscription.name for subscription in subscriptions]
        found, token = page(subscriptions, names, request.page_size, request.page_token)
        return types.ListSubscriptionsResponse(subscriptions=found, next_page_token=token)

    async def delete(self, request: types.DeleteSubscriptionRequest, _context: Context) -> None:
        self._changed(self._state.delete_subscription(request.subscription))

    async def modify_push_config(self, request: types.ModifyPushConfigRequest, _context: Context) -> None:
        wanted = types.Subscription(name=request.subscription, push_config=request.push_config)
        self._changed(self._state.update_subscription(wanted, ["push_config"]))

    async def pull(self, request: types.PullRequest, context: Context) -> types.PullResponse:
        subscription = self._state.subscription(request.subscription)
        if request.max_messages <= 0:
            raise invalid(
                f"The value for max_messages is too small. You passed {request.max_messages} in the request, but the "
                "minimum value is 1."
            )
        # return_immediately is deprecated and still what tests want
        wait = 0.0 if request.return_immediately else min(MAX_PULL_WAIT, 0.9 * (context.time_remaining() or 3600))
        limit = min(request.max_messages, rules.MAX_MESSAGES)
        deliveries = await subscription.backlog.take_soon(limit, until=time.monotonic() + wait)
        if subscription.backlog.closed:
            raise not_found(request.subscription)
        return types.PullResponse(received_messages=received(subscription, deliveries))

    async def streaming_pull(self, requests: AsyncIterator[types.StreamingPullRequest], context: Context) -> None:
        await streaming_pull(self._state, requests, context)

    async def acknowledge(self, request: types.AcknowledgeRequest, _context: Context) -> None:
        backlog = self._state.subscription(request.subscription).backlog
        backlog.ack(_some(request.ack_ids))

    async def modify_ack_deadline(self, request: types.ModifyAckDeadlineRequest, _context: Context) -> None:
        backlog = self._state.subscription(request.subscription).backlog
        rules.check_ack_deadline("ack_deadline_seconds", request.ack_deadline_seconds, minimum=0)
        backlog.modify_deadline(_some(request.ack_ids), request.ack_deadline_seconds)

    async def seek(self, request: types.SeekRequest, _context: Context) -> types.SeekResponse:
        subscription = self._state.subscription(request.subscription)
        if "snapshot" in request:
            raise not_found(request.snapshot)
        if "time" not in request:
            raise invalid("No target was specified in the SeekRequest. Must specify either a time or a snapshot")
        subscription.backlog.seek(request.time)
        return types.SeekResponse()

    def _changed(self, subscription: Subscription) -> types.Subscription:
        self._on_change(subscription)
        return subscription.config


def _some(ack_ids: Collection[str]) -> list[str]:
    if not ack_ids:
        raise invalid("No ack ids specified.")
    return list(ack_ids)
