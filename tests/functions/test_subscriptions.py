"""What a handler of events gets from the runtime: its trigger's identity, the delivery or the typed event, its age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from common import clock
from common.events.types import PaymentCompleted
from common.functions import Delivery, Drop, context, serve, subscribe
from common.functions.testing import HttpEvent, bearer, invoke, pubsub_event
from common.lifecycle import aclose_all

if TYPE_CHECKING:
    from common.functions.testing import Main

JSON = {"content-type": "application/json"}
INVOKER = "invoker@test.iam.gserviceaccount.com"


@pytest.fixture(autouse=True)
def _invoker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKER_EMAIL", INVOKER)


def handler(error: Exception | None = None, max_age: int | None = None) -> tuple[Main, list[Delivery]]:
    deliveries: list[Delivery] = []

    @subscribe("payment-completed", max_age=max_age)
    async def on_example(delivery: Delivery) -> None:
        deliveries.append(delivery)
        if error is not None:
            raise error

    return serve(on_example), deliveries


EVENT = PaymentCompleted(workspace_id="w", payment_id="p", user_id="u", total_amount_paise=353_882)


def event_push(data: bytes | None = None, time: datetime | None = None) -> HttpEvent:
    from common.events.message import message_attributes

    attributes = message_attributes(id=EVENT.id, source="//test", type=EVENT.TYPE, time=time or EVENT.time)
    return pubsub_event(EVENT.data() if data is None else data, attributes)


async def test_a_delivery_is_handled_and_acknowledged_with_204() -> None:
    main, deliveries = handler()
    assert (await invoke(main, event_push())).status == 204
    assert (deliveries[0].id, deliveries[0].attempt) == (EVENT.id, 1)


async def test_a_handler_gets_the_typed_event_it_asks_for() -> None:
    seen: list[PaymentCompleted] = []

    @subscribe("payment-completed")
    async def on_typed(event: PaymentCompleted) -> None:
        seen.append(event)

    assert (await invoke(serve(on_typed), event_push())).status == 204
    assert seen == [EVENT]


async def test_a_decorated_function_stays_callable() -> None:
    @subscribe("payment-completed")
    async def on_typed(event: PaymentCompleted) -> None:
        assert event is EVENT

    await on_typed(EVENT)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Basic abc", 401),
        ("Bearer nonsense", 401),
        ("Bearer a.b.c", 401),
        ("Bearer a.bm8.c", 401),
        (bearer("someone@else.example"), 403),
        (bearer(""), 401),
        (bearer(INVOKER), 204),
    ],
)
async def test_only_the_triggers_own_identity_may_call(authorization: str | None, status: int) -> None:
    main, deliveries = handler()
    headers = {**JSON, **({"authorization": authorization} if authorization else {})}
    result = await invoke(main, HttpEvent(body=event_push().body, headers=headers))
    assert result.status == status
    assert len(deliveries) == (status == 204)


async def test_without_a_configured_identity_everybody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVOKER_EMAIL")
    main, deliveries = handler()
    headers = {**JSON, "authorization": bearer(INVOKER)}
    assert (await invoke(main, HttpEvent(body=event_push().body, headers=headers))).status == 403
    assert deliveries == []


async def test_a_body_that_is_no_push_is_400() -> None:
    main, _ = handler()
    push = event_push()
    assert (await invoke(main, HttpEvent(body=b'{"hello": 1}', headers=push.headers))).status == 400


async def test_the_trace_of_the_publisher_is_joined_and_the_event_named() -> None:
    seen: list[context.RequestContext | None] = []

    @subscribe("payment-completed")
    async def on_traced(delivery: Delivery) -> None:
        seen.append(context.current())

    trace = "0af7651916cd43dd8448eb211c80319c"
    attributes = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    await invoke(serve(on_traced), pubsub_event(b"{}", attributes, message_id="m-1"))
    assert seen[0] is not None
    assert (seen[0].trace, seen[0].sampled, seen[0].event_id) == (trace, True, "m-1")


async def test_an_event_within_its_age_is_handled() -> None:
    main, deliveries = handler(max_age=60)
    with clock.frozen(datetime(2026, 11, 23, 6, 30, tzinfo=UTC)):
        recent = event_push(time=clock.now() - timedelta(seconds=60))
        assert (await invoke(main, recent)).status == 204
    assert len(deliveries) == 1


async def test_what_cannot_become_a_dead_letter_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    main, _ = handler(Drop("unwanted"))
    assert (await invoke(main, event_push())).status == 503
    await aclose_all()


def test_drop_says_its_reason() -> None:
    assert str(Drop("expired")) == "expired"
    assert str(Drop("expired", "too old")) == "expired: too old"
