"""What PhonePe says and we do not believe, or not yet: nothing is activated by it, and nothing true is lost to it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.logging_config import JsonFormatter
from common.errors import InvalidInput
from common.functions.testing import invoke, pubsub_event
from functions.events.on_phonepe_event import client, orders
from functions.events.on_phonepe_event.main import main
from tests.functions.events.ordering import deliver, event_status

if TYPE_CHECKING:
    from tests.stack import Stack


async def test_pending_at_phonepe_activates_nothing_and_comes_again(stack: Stack) -> None:
    checkout = await stack.checkout()
    assert (await deliver(checkout)).status == 503
    state = stack.state(checkout)
    assert (state["status"], state["plan"], state["events"]) == ("pending", "free", 0)
    assert event_status(stack) is None
    await checkout.pay()
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["status"] == "completed"


@pytest.mark.parametrize("mode", ["error", "malformed", "hang"])
async def test_a_broken_status_api_activates_nothing_and_is_asked_again(
    stack: Stack, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 1.0)
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", fail=mode)
    assert (await deliver(checkout)).status == 503
    assert stack.state(checkout)["status"] == "pending"
    await checkout.pay(state="COMPLETED", fail=None)
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["status"] == "completed"


@pytest.mark.parametrize(
    "nonsense",
    [{"state": "SETTLING"}, {"state": 7}, {"amount": "353882"}, {"amount": True}, {"amount": 353_882.0}],
    ids=str,
)
async def test_an_answer_of_the_wrong_shape_activates_nothing_and_is_asked_for_again(
    stack: Stack, nonsense: dict[str, Any]
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(**{"state": "COMPLETED", **nonsense})
    assert (await deliver(checkout)).status == 503
    assert (stack.state(checkout)["status"], event_status(stack)) == ("pending", None)
    await checkout.pay(state="COMPLETED", amount=353_882)
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["status"] == "completed"


answers = st.dictionaries(
    st.sampled_from(["state", "amount", "merchantId", "merchantOrderId", "errorCode", "paymentDetails"]),
    st.recursive(
        st.sampled_from(["COMPLETED", "FAILED", "x" * 200, "a\x00b", 353_882, -1, 10**60, 0.5, True, None]),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["state", "transactionId", "paymentMode", "instrument", "splitInstruments", "type"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
)


@given(answers)
def test_whatever_the_status_api_answers_is_read_or_refused(answer: dict[str, Any]) -> None:
    try:
        order = orders._read(answer)
    except InvalidInput:
        return
    kept = [order.transaction_id, order.method, order.failure_code, *order.instrument.values()]
    assert all(len(text) <= 100 and "\x00" not in text for text in kept)


async def test_a_token_that_was_revoked_before_its_time_is_replaced(stack: Stack) -> None:
    first, second = await stack.checkout(), await stack.checkout()
    for checkout in (first, second):
        await checkout.pay()
        assert (await deliver(checkout)).status == 204
        async with httpx.AsyncClient(base_url=os.environ["PHONEPE_BASE_URL"]) as phonepe:
            await phonepe.delete("/_local/tokens")
    assert stack.state(second)["status"] == "completed"


async def test_refused_credentials_are_a_defect_that_a_person_sees_and_no_secret_is_told(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    monkeypatch.setenv("PHONEPE_CLIENT_SECRET", "of-last-year")
    with caplog.at_level(logging.DEBUG):
        assert (await deliver(checkout)).status == 500
    assert stack.state(checkout)["status"] == "pending"
    assert "PhonePe refuses our client credentials (401)" in JsonFormatter().format(caplog.records[-1])
    assert "of-last-year" not in caplog.text


async def test_an_unreachable_status_api_activates_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    monkeypatch.setenv("PHONEPE_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PHONEPE_AUTH_URL", "http://127.0.0.1:1/v1/oauth/token")
    assert (await deliver(checkout)).status == 503
    assert stack.state(checkout)["status"] == "pending"


@pytest.mark.parametrize("where", ["webhook", "status API"])
async def test_another_merchants_order_is_dropped_with_an_alert(
    stack: Stack, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", **({"merchantId": "SOMEBODY"} if where == "status API" else {}))
    lie = {"merchantId": "SOMEBODY"} if where == "webhook" else {}
    assert (await deliver(checkout, **lie)).status == 204
    assert stack.state(checkout)["status"] == "pending"
    letters = await stack.published("dead-letter")
    assert letters[0].attributes["dead-letter-reason"] == "merchant_mismatch"
    assert letters[0].attributes["dead-letter-topic"] == "webhook-phonepe"
    assert any(vars(record).get("fields", {}).get("alert") == "merchant_mismatch" for record in caplog.records)


@pytest.mark.parametrize("where", ["webhook", "status API"])
async def test_another_amount_is_a_mismatch_that_activates_nothing(
    stack: Stack, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", **({"amount": 100} if where == "status API" else {}))
    assert (await deliver(checkout, **({"amount": 100} if where == "webhook" else {}))).status == 204
    assert event_status(stack) == "amount_mismatch"
    state = stack.state(checkout)
    assert (state["status"], state["plan"], state["events"]) == ("pending", "free", 0)
    assert any(vars(record).get("fields", {}).get("alert") == "amount_mismatch" for record in caplog.records)


async def test_a_huge_amount_is_a_mismatch_too(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    assert (await deliver(checkout, amount=10**60)).status == 204
    assert event_status(stack) == "amount_mismatch"


async def test_an_answer_about_another_order_is_dropped_with_an_alert(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state="COMPLETED", merchantOrderId="RF-SOMETHING-ELSE")
    assert (await deliver(checkout)).status == 204
    assert (stack.state(checkout)["status"], event_status(stack)) == ("pending", None)
    (letter,) = await stack.published("dead-letter")
    assert letter.attributes["dead-letter-reason"] == "order_mismatch"
    assert any(vars(record).get("fields", {}).get("alert") == "order_mismatch" for record in caplog.records)


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED"])
async def test_an_invented_success_does_not_burn_the_real_payments_key(stack: Stack, state: str) -> None:
    checkout = await stack.checkout()
    await checkout.pay(state=state)
    assert (await deliver(checkout)).status == 503
    assert (stack.state(checkout)["status"], event_status(stack)) == ("pending", None)
    assert (await deliver(checkout, event="checkout.order.failed")).status == 204
    assert stack.state(checkout)["status"] == "failed"
    await checkout.pay()
    assert (await deliver(checkout)).status == 204
    assert stack.state(checkout)["status"] == "completed"


async def test_an_invented_amount_does_not_burn_the_real_payments_key(stack: Stack) -> None:
    checkout = await stack.checkout()
    await checkout.pay()
    await deliver(checkout, amount=100)
    await deliver(checkout)
    assert stack.state(checkout)["status"] == "completed"
    assert event_status(stack) == "applied"


async def test_an_order_that_is_not_ours_is_recorded_and_alerted(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    checkout = await stack.checkout()
    stack.rows("delete from payments")
    assert (await deliver(checkout)).status == 204
    assert event_status(stack) == "unknown_order"
    assert any(vars(record).get("fields", {}).get("alert") == "unknown_order" for record in caplog.records)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("checkout.transaction.attempt.failed", "ignored"),
        ("subscription.paused", "ignored"),
        ("something.new", "ignored"),
    ],
)
async def test_other_events_are_recorded_and_change_nothing(stack: Stack, event: str, status: str) -> None:
    checkout = await stack.checkout()
    assert (await deliver(checkout, event=event)).status == 204
    assert event_status(stack) == status
    assert stack.state(checkout)["status"] == "pending"


@pytest.mark.parametrize(
    ("paid", "told", "status"),
    [
        ({"state": "COMPLETED"}, {}, 204),
        ({"state": "PENDING"}, {}, 503),
        ({"state": "COMPLETED", "amount": 1}, {}, 204),
        ({"state": "COMPLETED", "merchantId": "SOMEBODY"}, {}, 204),
        ({"state": "COMPLETED"}, {"amount": 1}, 204),
        ({"state": "COMPLETED"}, {"event": "checkout.order.failed"}, 204),
    ],
)
async def test_no_log_line_repeats_what_was_sent(
    stack: Stack,
    paid: dict[str, Any],
    told: dict[str, Any],
    status: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    checkout = await stack.checkout()
    await checkout.pay(**paid)
    private = {"paymentDetails": [{"rail": {"vpa": "someone@upi"}, "instrument": {"maskedAccountNumber": "XXXX9876"}}]}
    with caplog.at_level(logging.DEBUG, logger="raptorflow"):
        assert (await deliver(checkout, **private, **told)).status == status
    formatter = JsonFormatter()
    said = "".join(formatter.format(record) for record in caplog.records) + "".join(capfd.readouterr())
    assert "event-on-phonepe-event" in said
    for word in ("someone", "9876", "******1234", "@ybl", os.environ["PHONEPE_CLIENT_SECRET"], "O-Bearer"):
        assert word not in said


async def test_a_malformed_body_becomes_a_dead_letter(stack: Stack) -> None:
    assert (await invoke(main, pubsub_event(b"not json"))).status == 204
    letters = await stack.published("dead-letter")
    assert (letters[0].data, letters[0].attributes["dead-letter-reason"]) == (b"not json", "malformed")
