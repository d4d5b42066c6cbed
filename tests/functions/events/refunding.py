"""Refunds for tests: issued at PhonePe's stand-in, told to the function the way Pub/Sub tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from common import clock, ids
from common.functions.testing import Result, invoke
from functions.events.on_phonepe_event.main import main
from tests.functions.events.ordering import NOON, deliver, push
from tools.local.phonepe.refunds import Refund
from tools.local.phonepe.webhooks import build_refund_event

if TYPE_CHECKING:
    import pytest

    from tests.stack import Stack
    from tools.sample_data import Checkout

TOTAL = 353_882


async def control(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=os.environ["PHONEPE_BASE_URL"]) as client:
        answer = await client.request(method, f"/_local{path}", json=body)
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return told


@dataclass(frozen=True)
class Issued:
    """A refund at PhonePe."""

    id: str
    order_id: str

    async def change(self, **changes: Any) -> None:
        await control("PATCH", f"/refunds/{self.id}", changes)

    def body(self, event: str = "pg.refund.completed", *, wrapped: bool = True, **override: Any) -> bytes:
        """The webhook's body; its amount is wrong on purpose, for nobody may believe it."""
        refund = Refund(self.id, self.order_id, os.environ["PHONEPE_MERCHANT_ID"], 1, state="COMPLETED")
        return build_refund_event(refund, event=event, override=override, wrapped=wrapped)

    async def tell(self, event: str = "pg.refund.completed", *, wrapped: bool = True, **override: Any) -> Result:
        return await invoke(main, push(self.body(event, wrapped=wrapped, **override)))


async def refund(checkout: Checkout, amount: int = TOTAL, state: str = "COMPLETED") -> Issued:
    """A refund that PhonePe itself would refuse beyond the order's amount: issued on another order, then moved."""
    elsewhere = f"X-{ids.new_id()}"
    await control("POST", "/orders", {"merchantOrderId": elsewhere, "amount": 100, "state": "COMPLETED"})
    made = await control("POST", f"/orders/{elsewhere}/refunds", {"state": state})
    issued = Issued(made["merchantRefundId"], checkout.merchant_order_id)
    await issued.change(amount=amount, originalMerchantOrderId=checkout.merchant_order_id)
    return issued


async def paid(stack: Stack, **options: Any) -> Checkout:
    """A checkout whose payment is completed, paid at noon of the 23rd."""
    total = options.pop("total", TOTAL)
    at = options.pop("at", NOON)
    checkout = await stack.checkout(**options)
    await checkout.pay()
    with clock.frozen(at):
        assert (await deliver(checkout, amount=total)).status == 204
    return checkout


def payment(stack: Stack, checkout: Checkout) -> dict[str, Any]:
    return stack.rows("select status, refunded_paise from payments where id = %s", checkout.payment_id)[0]


def refunds(stack: Stack) -> list[dict[str, Any]]:
    return stack.rows(
        "select merchant_refund_id, amount_paise, status, failure_code from payment_refunds order by created_at, id"
    )


def event_row(stack: Stack, key: str) -> str | None:
    rows = stack.rows("select status from webhook_events where position(%s in dedupe_key) > 0", key)
    return rows[0]["status"] if rows else None


def documents(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Invoices and credit notes with their heads, by number."""
    return {
        "invoices": stack.rows("select * from invoices order by number"),
        "credit_notes": stack.rows("select * from credit_notes order by number"),
    }


def alerts(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a person would be woken by."""
    return [fields["alert"] for record in caplog.records if "alert" in (fields := vars(record).get("fields", {}))]
