"""PhonePe's stand-in checks what it is sent, answers like PhonePe and signs like PhonePe."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tools.local.environment import Secrets
from tools.local.phonepe.app import application
from tools.local.phonepe.orders import Order
from tools.local.phonepe.webhooks import HeaderNames, build_order_event, sign_headers
from tools.local.services import serve
from tools.local.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRETS = Secrets()
FORM = {
    "client_id": SECRETS.phonepe_client_id,
    "client_version": "1",
    "client_secret": SECRETS.phonepe_client_secret,
    "grant_type": "client_credentials",
}
PAY: dict[str, Any] = {
    "merchantOrderId": "RF-1",
    "amount": 353_882,
    "expireAfter": 600,
    "metaInfo": {"udf1": "growth", "udf2": "monthly"},
    "paymentFlow": {"type": "PG_CHECKOUT", "merchantUrls": {"redirectUrl": "https://app.example.com/paid"}},
}


def free_port(folder: Path, name: str) -> int:
    state = State(folder / "ports.json")
    state.choose_ports((name,))
    return state.ports[name]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A stand-in without orders."""
    port = free_port(tmp_path, "phonepe")
    async with (
        serve(application(SECRETS), port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as made,
    ):
        yield made


async def authorised(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.post("/v1/oauth/token", data=FORM)
    return {"Authorization": f"O-Bearer {answer.json()['access_token']}"}


async def order(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/_local/orders", json={"merchantOrderId": "RF-1", "amount": 353_882, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def status(client: httpx.AsyncClient, order_id: str = "RF-1", **query: str) -> httpx.Response:
    path = f"/checkout/v2/order/{order_id}/status"
    return await client.get(path, params=query, headers=await authorised(client))


# --- tokens


async def test_client_credentials_get_a_token(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/oauth/token", data=FORM)
    token = answer.json()
    assert answer.status_code == 200
    assert token.keys() == {
        "access_token",
        "encrypted_access_token",
        "expires_in",
        "issued_at",
        "expires_at",
        "session_expires_at",
        "token_type",
    }
    assert token["token_type"] == "O-Bearer"
    assert token["expires_at"] - token["issued_at"] == 3600


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"client_secret": "wrong"}, 401),
        ({"client_secret": "é"}, 401),
        ({"client_id": "somebody"}, 401),
        ({"client_version": "2"}, 401),
        ({"client_secret": ""}, 400),
        ({"grant_type": "password"}, 400),
    ],
)
async def test_other_credentials_get_none(client: httpx.AsyncClient, change: dict[str, str], expected: int) -> None:
    answer = await client.post("/v1/oauth/token", data=FORM | change)
    assert answer.status_code == expected
    assert answer.json().keys() == {"success", "code", "message"}
    assert answer.json()["success"] is False


async def test_the_token_request_must_be_a_form(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/oauth/token", json=FORM)).status_code == 400


@pytest.mark.parametrize("authorization", [None, "", "O-Bearer", "O-Bearer invented", "Bearer {token}"])
async def test_a_call_without_our_token_is_refused(client: httpx.AsyncClient, authorization: str | None) -> None:
    await order(client)
    token = (await authorised(client))["Authorization"].removeprefix("O-Bearer ")
    headers = {} if authorization is None else {"Authorization": authorization.format(token=token)}
    for answer in (
        await client.get("/checkout/v2/order/RF-1/status", headers=headers),
        await client.post("/checkout/v2/pay", json=PAY, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "AUTHORIZATION_FAILED")


async def test_an_expired_token_is_refused(client: httpx.AsyncClient) -> None:
    await order(client)
    headers = await authorised(client)
    assert (await client.get("/checkout/v2/order/RF-1/status", headers=headers)).status_code == 200
    await client.delete("/_local/tokens")
    assert (await client.get("/checkout/v2/order/RF-1/status", headers=headers)).status_code == 401


# --- orders


async def test_a_checkout_makes_a_pending_order(client: httpx.AsyncClient) -> None:
    answer = await client.post("/checkout/v2/pay", json=PAY, headers=await authorised(client))
    made = answer.json()
    assert answer.status_code == 200
    assert made.keys() == {"orderId", "state", "expireAt", "redirectUrl"}
    assert (made["state"], made["orderId"][:3]) == ("PENDING", "OMO")
    found = (await status(client)).json()
    assert (found["orderId"], found["state"], found["amount"]) == (made["orderId"], "PENDING", 353_882)
    assert (found["metaInfo"], found["paymentDetails"]) == (PAY["metaInfo"], [])
    assert (await client.get(made["redirectUrl"])).json()["merchantOrderId"] == "RF-1"


@pytest.mark.parametrize(
    "change",
    [
        {"merchantOrderId": ""},
        {"merchantOrderId": "x" * 64},
        {"merchantOrderId": "a/b"},
        {"amount": 99},
        {"amount": 3538.82},
        {"amount": "353882"},
        {"amount": True},
        {"expireAfter": 10},
        {"paymentFlow": {"type": "PG"}},
        {"paymentFlow": {"type": "PG_CHECKOUT"}},
        {"metaInfo": {"plan": "growth"}},
        {"metaInfo": {"udf1": "x" * 257}},
        {"metaInfo": {"udf11": "ü"}},
    ],
)
async def test_a_checkout_that_phonepe_would_refuse_is_refused(
    client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    answer = await client.post("/checkout/v2/pay", json=PAY | change, headers=await authorised(client))
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


async def test_an_order_id_is_used_once(client: httpx.AsyncClient) -> None:
    headers = await authorised(client)
    assert (await client.post("/checkout/v2/pay", json=PAY, headers=headers)).status_code == 200
    again = await client.post("/checkout/v2/pay", json=PAY, headers=headers)
    assert (again.status_code, again.json()["code"]) == (417, "INVALID_MERCHANT_ORDER_ID")


async def test_an_unknown_order_is_told_in_phonepes_words(client: httpx.AsyncClient) -> None:
    answer = await status(client, "nobody")
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "code": "INVALID_MERCHANT_ORDER_ID",
        "message": "No entry found for given merchant order id",
    }


async def test_a_paid_order_shows_a_masked_instrument(client: httpx.AsyncClient) -> None:
    await order(client)
    await client.patch("/_local/orders/RF-1", json={"state": "COMPLETED"})
    found = (await status(client)).json()
    assert (found["state"], found["merchantId"]) == ("COMPLETED", SECRETS.phonepe_merchant_id)
    (paid,) = found["paymentDetails"]
    assert (paid["state"], paid["amount"], paid["paymentMode"]) == ("COMPLETED", 353_882, "UPI_QR")
    assert paid["transactionId"].startswith("OM")
    assert paid["instrument"]["maskedAccountNumber"] == "******1234"
    assert paid["splitInstruments"][0]["amount"] == 353_882
    assert paid["timestamp"] > 1_700_000_000_000  # milliseconds


async def test_a_failed_attempt_may_be_followed_by_one_that_works(client: httpx.AsyncClient) -> None:
    await order(client, state="FAILED")
    failed = (await status(client, errorContext="true")).json()
    assert (failed["errorCode"], failed["errorContext"]["stage"]) == ("INVALID_MPIN", "AUTHENTICATION")
    await client.patch("/_local/orders/RF-1", json={"state": "COMPLETED"})
    latest, every = (await status(client)).json(), (await status(client, details="true")).json()
    assert [attempt["state"] for attempt in latest["paymentDetails"]] == ["COMPLETED"]
    assert [attempt["state"] for attempt in every["paymentDetails"]] == ["FAILED", "COMPLETED"]
    assert "errorCode" not in latest


async def test_an_order_may_be_changed_by_hand(client: httpx.AsyncClient) -> None:
    await order(client)
    changed = {"state": "COMPLETED", "amount": 100, "merchantId": "SOMEBODY"}
    await client.patch("/_local/orders/RF-1", json=changed)
    found = (await status(client)).json()
    assert {name: found[name] for name in changed} == changed
    assert found["paymentDetails"][0]["amount"] == 100


async def test_paying_twice_by_hand_is_one_attempt(client: httpx.AsyncClient) -> None:
    await order(client)
    for _ in range(2):
        await client.patch("/_local/orders/RF-1", json={"state": "COMPLETED"})
    assert len((await status(client, details="true")).json()["paymentDetails"]) == 1


async def test_the_status_api_misbehaves_when_it_is_told_to(client: httpx.AsyncClient) -> None:
    await order(client, state="PENDING")

    async def fail(mode: str | None) -> httpx.Response:
        await client.patch("/_local/orders/RF-1", json={"fail": mode})
        return await status(client)

    assert (await fail("error")).status_code == 500
    malformed = await fail("malformed")
    assert malformed.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        malformed.json()
    lie = (await fail("lie")).json()
    assert (lie["state"], lie["merchantId"]) == ("COMPLETED", "SOMEBODYELSE")
    await client.patch("/_local/orders/RF-1", json={"fail": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        await client.get("/checkout/v2/order/RF-1/status", headers=await authorised(client), timeout=0.3)
    assert (await fail(None)).json()["state"] == "PENDING"


async def test_the_control_api_refuses_what_it_does_not_know(client: httpx.AsyncClient) -> None:
    await order(client)
    nonsense: list[Any] = [{"colour": "red"}, {"fail": "sometimes"}, []]
    for body in nonsense:
        assert (await client.patch("/_local/orders/RF-1", json=body)).status_code == 400
    assert (await client.patch("/_local/orders/none", json={})).status_code == 404
    assert (await client.post("/_local/orders", json={"amount": 1})).status_code == 400
    assert (await client.post("/_local/orders", content=b"{")).status_code == 400


async def test_an_unknown_path_is_json_too(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/pg/v1/status/M/T"), await client.get("/v1/oauth/token")):
        assert answer.status_code in {404, 405}
        assert answer.json()["message"] == "Bad Request - Api Mapping Not Found"


async def test_requests_are_remembered_without_secrets(client: httpx.AsyncClient) -> None:
    await client.post("/v1/oauth/token", data=FORM | {"client_secret": "my-wrong-secret"})
    await order(client)
    await status(client)
    remembered = await client.get("/_local/requests")
    assert remembered.json() == [
        {"method": "POST", "path": "/v1/oauth/token", "status": 401, "accepted": False},
        {"method": "POST", "path": "/v1/oauth/token", "status": 200, "accepted": True},
        {"method": "GET", "path": "/checkout/v2/order/RF-1/status", "status": 200, "accepted": True},
    ]


# --- webhooks


@dataclass
class Receiver:
    """A merchant's URL."""

    answers: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        self.headers.append({name.decode(): value.decode() for name, value in _scope["headers"]})
        await send({"type": "http.response.start", "status": self.answers, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_the_webhook_is_posted_signed_over_its_raw_body(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await order(client, state="COMPLETED", metaInfo={"udf1": "größe"})
    receiver, port = Receiver(answers=204), free_port(tmp_path, "receiver")
    async with serve(receiver, port):
        answer = await client.post(
            "/_local/orders/RF-1/webhook", json={"url": f"http://127.0.0.1:{port}/hook", "mode": "hmac"}
        )
    assert answer.json() == {"status": 204}
    key_id, _, secret = SECRETS.phonepe_hmac.partition(":")
    body, headers = receiver.bodies[0], receiver.headers[0]
    assert headers["content-type"] == "application/json"
    assert headers["x-phonepe-checksum-key-id"] == key_id
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-phonepe-checksum-signature"] == expected
    document = json.loads(body)
    assert (document["event"], document["type"]) == ("checkout.order.completed", "CHECKOUT_ORDER_COMPLETED")
    payload = document["payload"]
    assert (payload["merchantOrderId"], payload["state"], payload["amount"]) == ("RF-1", "COMPLETED", 353_882)
    assert (payload["merchantId"], payload["currency"]) == (SECRETS.phonepe_merchant_id, "INR")
    assert payload["paymentDetails"][0]["instrument"]["maskedAccountNumber"] == "******1234"


async def test_the_other_mode_sends_a_constant_header(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await order(client, state="FAILED")
    receiver, port = Receiver(answers=401), free_port(tmp_path, "receiver")
    async with serve(receiver, port):
        asked = {"url": f"http://127.0.0.1:{port}/", "mode": "basic", "override": {"amount": 1}}
        answers = await asyncio.gather(*(client.post("/_local/orders/RF-1/webhook", json=asked) for _ in range(3)))
    assert [answer.json() for answer in answers] == [{"status": 401}] * 3
    constant = hashlib.sha256(SECRETS.phonepe_basic.encode()).hexdigest()
    assert [headers["authorization"] for headers in receiver.headers] == [constant] * 3
    document = json.loads(receiver.bodies[0])
    assert (document["event"], document["payload"]["amount"]) == ("checkout.order.failed", 1)
    assert document["payload"]["errorCode"] == "INVALID_MPIN"


async def test_a_webhook_that_nobody_takes_is_told(client: httpx.AsyncClient) -> None:
    await order(client)
    for url, expected in (("http://127.0.0.1:1/", 502), ("nonsense", 502), (None, 400)):
        answer = await client.post("/_local/orders/RF-1/webhook", json={"url": url})
        assert answer.status_code == expected


def test_an_event_may_run_ahead_of_the_order() -> None:
    document = json.loads(build_order_event(Order("RF-1", "M1", 100), event="checkout.order.completed"))
    assert (document["payload"]["state"], document["payload"]["paymentDetails"]) == ("COMPLETED", [])


def test_the_digest_of_the_sdks_own_example() -> None:
    assert sign_headers(b"", "basic", "username:password")["authorization"].startswith("bc842c31")


def test_the_headers_names_are_configurable() -> None:
    names = HeaderNames(signature="x-sig", key_id="x-key", authorization="x-auth")
    assert sign_headers(b"{}", "hmac", "k:s", names).keys() == {"x-sig", "x-key"}
    assert sign_headers(b"{}", "basic", "u:p", names).keys() == {"x-auth"}
