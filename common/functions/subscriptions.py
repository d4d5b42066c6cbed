"""``@subscribe``: the handler of one topic's messages, pushed to it one at a time."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, get_type_hints

from starlette.responses import Response

from common import clock
from common.errors import InvalidInput
from common.functions import context, dead_letter
from common.functions.delivery import Delivery, parse_delivery
from common.functions.outcomes import Drop, Rejected
from common.functions.spec import FunctionSpec, Resources, attach

if TYPE_CHECKING:
    from common.functions.request import Request

MAX_PUSH_BYTES = 14 * 1024 * 1024
"""Pub/Sub's 10 MB message, in base64, with its attributes."""

Handler = TypeVar("Handler", bound=Callable[[Any], Awaitable[None]])


def subscribe(
    topic: str,
    *,
    max_age: int | None = None,
    timeout: int = 60,
    ordered: bool = False,
    filter: str | None = None,  # noqa: A002 - Pub/Sub's own word
    **_: Unpack[Resources],
) -> Callable[[Handler], Handler]:
    """Call an async function of one argument for each message of ``topic``.

    What the argument is annotated with decides what it gets: a `Delivery`, or any type whose ``from_delivery`` reads
    one or raises `InvalidInput`, such as the events of `common.events.types`. Every message comes at least once, in any
    order: the effect must be one transaction keyed by the event's id.

    Args:
        topic: its short name.
        max_age: seconds after which an event is dropped as ``expired`` instead of handled. None, for webhooks and
            money: never.
        timeout: seconds; the subscription's ack deadline is a little longer.
        ordered: deliver the messages of one ordering key one after the other.
        filter: which messages to deliver at all, in Pub/Sub's filter language.
        **_: see `Resources`.

    Example:
        >>> @subscribe("foundation-updated", max_age=86_400)
        ... async def on_foundation_updated(event: FoundationUpdated) -> None: ...
    """
    del ordered, filter  # the manifest's business: they configure the subscription

    async def handle(function: Callable[..., Any], request: Request) -> Response:
        return await _handle(function, request, topic=topic, max_age=max_age)

    return attach(
        FunctionSpec(kind="event", timeout=timeout, adapter=handle, caller="trigger", max_body=MAX_PUSH_BYTES),
    )


async def _handle(function: Callable[..., Any], request: Request, *, topic: str, max_age: int | None) -> Response:
    try:
        delivery = parse_delivery(request)
    except InvalidInput as error:
        # Not a message at all, so there is nothing that could be kept: whoever called us is told.
        raise Rejected(400, str(error)) from None
    running = context.current()
    if running is not None:
        running.event_id = delivery.id
        running.continue_trace(delivery.attributes.get("traceparent"))
    try:
        _check_age(delivery, max_age)
        await function(_argument(function, delivery))
    except Drop as drop:
        name = running.function if running else function.__name__
        await dead_letter.publish(delivery, function=name, topic=topic, drop=drop)
        if running is not None:
            running.outcome, running.reason = "drop", drop.reason
    return Response(status_code=204)


def _check_age(delivery: Delivery, max_age: int | None) -> None:
    if max_age is not None and (clock.now() - delivery.time).total_seconds() > max_age:
        raise Drop("expired", f"the event is older than {max_age} seconds")


def _argument(function: Callable[..., Any], delivery: Delivery) -> Any:
    wanted = _wanted(function)
    if wanted is Delivery:
        return delivery
    try:
        return wanted.from_delivery(delivery)
    except InvalidInput as error:
        raise Drop("malformed", str(error)) from None


@functools.cache
def _wanted(function: Callable[..., Any]) -> Any:
    parameter = next(iter(inspect.signature(function).parameters))
    return get_type_hints(function)[parameter]
