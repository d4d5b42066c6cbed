"""Refunds at PhonePe's stand-in: what it accepts, limits, answers, and tells."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.local.test_phonepe import SECRETS, Receiver, authorised, client, free_port, order
from tools.local.phonepe.refunds import Refund
from tools.local.phonepe.webhooks import build_refund_event
from tools.local.services import serve

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

__all__ = ["client"]  # the fixture
ASKED: dict[str, Any] = {"merchantRefundId": "RR-1", "originalMerchantOrderId": "RF-1", "amount": 100_000}


async def ask(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/payments/v2/refund", json=ASKED | changes, headers=await authorised(client))


async def status(client: httpx.AsyncClient, refund_id: str = "RR-1") -> httpx.Response:
    return await client.get(f"/payments/v2/refund/{refund_id}/status", headers=await authorised(client))


async def test_a_refund_is_pending_until_it_is_decided(client: httpx.AsyncClient) -> None:
    await order(client, state="COMPLETED")
    asked = await ask(client)
    assert (asked.status_code, asked.json().keys()) == (200, {"refundId", "amount", "state"})
    assert (asked.json()["refundId"][:3], asked.json()["state"]) == ("OMR", "PENDING")
    found = (await status(client)).json()
    assert (found["originalMerchantOrderId"], found["amount"], found["state"]) == ("RF-1", 100_000, "PENDING")
    assert found["refundId"] == asked.json()["refundId"]
    for state in ("CONFIRMED", "COMPLETED"):
        await client.patch("/_local/refunds/RR-1", json={"state": state})
        assert (await status(client)).json()["state"] == state
    assert (await status(client)).json()["paymentDetails"][0]["instrument"]["maskedAccountNumber"] == "******1234"


async def test_a_failed_refund_says_why(client: httpx.AsyncClient) -> None:
    await order(client, state="COMPLETED")
    await ask(client)
    await client.patch("/_local/refunds/RR-1", json={"state": "FAILED"})
    assert (await status(client)).json()["errorCode"] == "REFUND_FAILED"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"merchantRefundId": ""}, 400),
        ({"merchantRefundId": "x" * 64}, 400),
        ({"merchantRefundId": "a/b"}, 400),
        ({"amount": 99}, 400),
        ({"amount": "100000"}, 400),
        ({"amount": True}, 400),
        ({"originalMerchantOrderId": "nobody"}, 404),
        ({"amount": 353_883}, 417),
    ],
)
async def test_what_phonepe_would_refuse_is_refused(
    client: httpx.AsyncClient, change: dict[str, Any], expected: int
) -> None:
    await order(client, state="COMPLETED")
    answer = await ask(client, **change)
    assert (answer.status_code, answer.json()["success"]) == (expected, False)
    assert (await status(client)).status_code == 404


async def test_refunds_together_are_at_most_the_order(client: httpx.AsyncClient) -> None:
    await order(client, state="COMPLETED")
    assert (await ask(client, amount=353_782)).status_code == 200
    beyond = await ask(client, merchantRefundId="RR-2", amount=101)
    assert (beyond.status_code, beyond.json()["code"]) == (417, "INVALID_REFUND_AMOUNT")
    assert (await ask(client, merchantRefundId="RR-2", amount=100)).status_code == 200
    await client.patch("/_local/refunds/RR-1", json={"state": "FAILED"})  # gives its amount back
    assert (await ask(client, merchantRefundId="RR-3", amount=353_782)).status_code == 200


async def test_only_a_paid_order_is_refunded_and_an_id_is_used_once(client: httpx.AsyncClient) -> None:
    await order(client)
    assert (await ask(client)).json()["code"] == "INVALID_TRANSACTION_STATE"
    await client.patch("/_local/orders/RF-1", json={"state": "COMPLETED"})
    assert (await ask(client)).status_code == 200
    assert (await ask(client)).json()["code"] == "INVALID_MERCHANT_REFUND_ID"


async def test_a_call_without_our_token_is_refused(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.post("/payments/v2/refund", json=ASKED),
        await client.get("/payments/v2/refund/RR-1/status"),
    ):
        assert answer.status_code == 401


async def test_a_refund_may_be_issued_by_hand(client: httpx.AsyncClient) -> None:
    await order(client, state="COMPLETED")
    made = await client.post("/_local/orders/RF-1/refunds", json={"state": "COMPLETED"})
    assert (made.status_code, made.json()["amount"], made.json()["state"]) == (201, 353_882, "COMPLETED")
    refund_id = made.json()["merchantRefundId"]
    assert (await client.get(f"/_local/refunds/{refund_id}")).json() == made.json()
    assert (await client.post("/_local/orders/nobody/refunds", json={"amount": 100})).status_code == 404
    assert (await client.post("/_local/orders/RF-1/refunds", json={"amount": 100})).status_code == 417
    nonsense: list[Any] = [{"colour": "red"}, {"fail": "sometimes"}, []]
    for body in nonsense:
        assert (await client.patch(f"/_local/refunds/{refund_id}", json=body)).status_code == 400
    assert (await client.patch("/_local/refunds/none", json={})).status_code == 404


async def test_the_status_api_misbehaves_when_it_is_told_to(client: httpx.AsyncClient) -> None:
    await order(client, state="COMPLETED")
    await ask(client)

    async def fail(mode: str | None) -> httpx.Response:
        await client.patch("/_local/refunds/RR-1", json={"fail": mode})
        return await status(client)

    assert (await fail("error")).status_code == 500
    with pytest.raises(json.JSONDecodeError):
        (await fail("malformed")).json()
    assert (await fail("lie")).json()["merchantRefundId"] == "SOMETHING-ELSE"
    assert (await fail(None)).json()["state"] == "PENDING"


async def test_the_webhook_is_posted_signed_over_its_raw_body(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await order(client, state="COMPLETED")
    await ask(client)
    receiver, port = Receiver(), free_port(tmp_path, "receiver")
    async with serve(receiver, port):
        for state in ("PENDING", "COMPLETED", "FAILED"):
            await client.patch("/_local/refunds/RR-1", json={"state": state})
            answer = await client.post("/_local/refunds/RR-1/webhook", json={"url": f"http://127.0.0.1:{port}/hook"})
            assert answer.json() == {"status": 200}
        bare = {"url": f"http://127.0.0.1:{port}/hook", "wrapped": False}
        await client.post("/_local/refunds/RR-1/webhook", json=bare)
    key = SECRETS.phonepe_hmac.partition(":")[2].encode()
    for body, headers in zip(receiver.bodies, receiver.headers, strict=True):
        assert headers["x-phonepe-checksum-signature"] == hmac.new(key, body, hashlib.sha256).hexdigest()
    told = [json.loads(body) for body in receiver.bodies]
    assert [(each["event"], each["payload"]["state"]) for each in told[:3]] == [
        ("pg.refund.accepted", "CONFIRMED"),
        ("pg.refund.completed", "COMPLETED"),
        ("pg.refund.failed", "FAILED"),
    ]
    payload = told[1]["payload"]
    assert (payload["merchantRefundId"], payload["originalMerchantOrderId"]) == ("RR-1", "RF-1")
    assert (payload["amount"], payload["merchantId"]) == (100_000, SECRETS.phonepe_merchant_id)
    assert (told[3]["merchantRefundId"], "event" in told[3]) == ("RR-1", False)


def test_an_event_may_run_ahead_of_the_refund() -> None:
    body = build_refund_event(Refund("RR-1", "RF-1", "M1", 100), event="pg.refund.completed", override={"amount": 1})
    document = json.loads(body)
    assert (document["type"], document["payload"]["state"]) == ("PG_REFUND_COMPLETED", "COMPLETED")
    assert document["payload"]["amount"] == 1
