"""The process dies between any two steps of a refund, and of a payment that a refund waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.functions.testing import invoke
from functions.events.on_phonepe_event.main import main as handler
from tests.functions.events.ordering import body, push
from tests.functions.events.refunding import TOTAL, documents, paid, payment, refund
from tests.path.dying import handled

if TYPE_CHECKING:
    from tests.stack import Stack

pytestmark = pytest.mark.timeout(300)  # dozens of processes start and die in each

MODULE = "functions.events.on_phonepe_event.main"


async def test_killed_at_any_step_a_refund_takes_effect_once(stack: Stack) -> None:
    deaths, survived = 0, False
    while not survived:
        checkout = await paid(stack)
        event = push((await refund(checkout)).body())
        survived = await handled(MODULE, event, deaths)
        for _ in range(2):  # once because it was not acknowledged, once more because that happens too
            assert (await invoke(handler, event)).status == 204
        state = stack.state(checkout)
        assert (state["plan"], state["unpublished"]) == ("free", 0), f"killed at step {deaths}"
        assert state["events"] == 4, f"killed at step {deaths}"  # completed, activated, refunded, cancelled
        deaths += not survived
    assert deaths >= 30
    notes = documents(stack)["credit_notes"]
    assert [note["seq"] for note in notes] == list(range(1, deaths + 2))


async def test_killed_at_any_step_a_payment_loses_no_refund_that_waits_for_it(stack: Stack) -> None:
    deaths, survived = 0, False
    while not survived:
        checkout = await stack.checkout()
        await checkout.pay()
        early = push((await refund(checkout)).body())
        assert (await invoke(handler, early)).status == 204
        event = push(body(checkout))
        survived = await handled(MODULE, event, deaths)
        for again in (early, event, event):
            assert (await invoke(handler, again)).status == 204
        assert payment(stack, checkout) == {"status": "refunded", "refunded_paise": TOTAL}, f"killed at step {deaths}"
        state = stack.state(checkout)
        assert (state["plan"], state["unpublished"], state["events"]) == ("free", 0, 4), f"killed at step {deaths}"
        deaths += not survived
    assert deaths >= 40
    assert len(documents(stack)["credit_notes"]) == deaths + 1
