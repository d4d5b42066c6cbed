"""PhonePe's URL: who is believed, what is published, and what strangers learn (nothing)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from common.functions.testing import HttpEvent, Result, invoke
from common.redis.rate_limit_config import FAILED_VERIFICATIONS
from functions.webhooks.phonepe.main import main

if TYPE_CHECKING:
    from tests.stack import Stack

BODY = json.dumps(
    {
        "event": "checkout.order.completed",
        "payload": {
            "merchantOrderId": "RF-1",
            "state": "COMPLETED",
            "amount": 353_882,
            "paymentDetails": [{"rail": {"vpa": "someone@upi"}}],
        },
    },
    separators=(", ", ":  "),
).encode()
SIGNATURE, KEY_ID = "x-phonepe-checksum-signature", "x-phonepe-checksum-key-id"


def signed(body: bytes = BODY, secret: str = "old", key_id: str | None = "k1") -> dict[str, str]:
    headers = {"content-type": "application/json"}
    headers[SIGNATURE] = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return headers | ({KEY_ID: key_id} if key_id else {})


def authorised(pair: str = "founder:password1") -> dict[str, str]:
    return {"content-type": "application/json", "authorization": hashlib.sha256(pair.encode()).hexdigest()}


async def post(headers: Any, body: bytes = BODY) -> Result:
    return await invoke(main, HttpEvent(body=body, headers=headers))


async def test_a_signed_webhook_becomes_one_cloudevent(hmac_mode: Stack) -> None:
    assert (await post(signed())).status == 200
    (message,) = await hmac_mode.published("webhook-phonepe")
    assert message.data == BODY
    attributes = dict(message.attributes)
    assert attributes["ce-id"] == "phonepe/checkout.order.completed/RF-1/COMPLETED"
    assert attributes["ce-type"] == "raptorflow.webhook.phonepe.v1"
    assert attributes["ce-source"] == "//raptorflow/webhooks/phonepe/phonepe"
    assert (attributes["ce-subject"], attributes["ce-eventtype"]) == ("RF-1", "checkout.order.completed")
    assert attributes["ce-signaturescheme"] == "hmac"
    assert attributes["traceparent"].startswith("00-")


async def test_every_delivery_of_the_same_occurrence_has_the_same_id(hmac_mode: Stack) -> None:
    await asyncio.gather(*(post(signed()) for _ in range(3)))
    identities = {message.attributes["ce-id"] for message in await hmac_mode.published("webhook-phonepe")}
    assert len(identities) == 1


@pytest.mark.parametrize(("secret", "key_id"), [("old", "k1"), ("new", "k2"), ("new", None)])
async def test_both_secrets_count_while_one_is_rotated(hmac_mode: Stack, secret: str, key_id: str | None) -> None:
    assert (await post(signed(secret=secret, key_id=key_id))).status == 200


@pytest.mark.parametrize("pair", ["founder:password1", "founder:password2"])
async def test_the_other_mode_accepts_the_constant_header(basic_mode: Stack, pair: str) -> None:
    assert (await post(authorised(pair))).status == 200
    (message,) = await basic_mode.published("webhook-phonepe")
    assert message.attributes["ce-signaturescheme"] == "basic"


GOOD = signed()[SIGNATURE]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SIGNATURE: ""},
        {SIGNATURE: GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"), KEY_ID: "k1"},
        {SIGNATURE: GOOD[:32], KEY_ID: "k1"},
        {SIGNATURE: GOOD + "00", KEY_ID: "k1"},
        {SIGNATURE: f"sha256={GOOD}", KEY_ID: "k1"},
        {SIGNATURE: "é" * 64, KEY_ID: "k1"},
        {SIGNATURE: "\xff" * 64},
        {SIGNATURE: GOOD, KEY_ID: "k2"},
        {SIGNATURE: GOOD, KEY_ID: "unknown"},
        {SIGNATURE: signed(secret="")[SIGNATURE], KEY_ID: "k1"},
        {SIGNATURE: signed(secret="k1:old")[SIGNATURE], KEY_ID: "k1"},
        authorised(),
        authorised("k1:old"),
        {"x_phonepe_checksum_signature": GOOD, "x_phonepe_checksum_key_id": "k1"},
    ],
)
async def test_nothing_else_is_believed(hmac_mode: Stack, headers: dict[str, str]) -> None:
    result = await post({"content-type": "application/json", **headers})
    assert result.status == 401
    assert result.json()["detail"] == "the request is not authenticated"
    assert await hmac_mode.published("webhook-phonepe") == []


@pytest.mark.parametrize(
    "headers",
    [{}, signed(), {"authorization": ""}, authorised(":"), authorised("founder:wrong"), {"authorization": "Basic x"}],
)
async def test_a_sender_cannot_choose_the_mode(basic_mode: Stack, headers: dict[str, str]) -> None:
    assert (await post({"content-type": "application/json", **headers})).status == 401


async def test_a_signature_that_comes_twice_is_400(hmac_mode: Stack) -> None:
    headers = [*signed().items(), (SIGNATURE, "0" * 64)]
    assert (await post(headers)).status == 400


async def test_the_names_of_the_headers_are_settings(hmac_mode: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEPE_SIGNATURE_HEADER", "x-new-signature")
    monkeypatch.setenv("PHONEPE_KEY_ID_HEADER", "x-new-key")
    assert (await post(signed())).status == 401
    renamed = {"content-type": "application/json", "x-new-signature": GOOD, "x-new-key": "k1"}
    assert (await post(renamed)).status == 200


async def test_so_is_the_name_of_the_other_modes_header(basic_mode: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEPE_AUTHORIZATION_HEADER", "x-authorization")
    assert (await post(authorised())).status == 401
    renamed = {"content-type": "application/json", "x-authorization": authorised()["authorization"]}
    assert (await post(renamed)).status == 200


@pytest.mark.parametrize("secrets", [None, "", "\n \n", ":", "k1:", ":secret", "k1", "k1:old\nbroken"])
@pytest.mark.parametrize("mode", ["hmac", "basic"])
async def test_without_a_usable_secret_everybody_is_refused(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    secrets: str | None,
    mode: str,
) -> None:
    monkeypatch.setenv("PHONEPE_WEBHOOK_MODE", mode)
    if secrets is None:
        monkeypatch.delenv("PHONEPE_WEBHOOK_SECRETS")
    else:
        monkeypatch.setenv("PHONEPE_WEBHOOK_SECRETS", secrets)
    for headers in (signed(secret=""), signed(), authorised(":"), authorised("None:None")):
        assert (await post(headers)).status == 401
    assert "every webhook is refused" in caplog.text


async def test_an_unknown_mode_refuses_everybody(hmac_mode: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEPE_WEBHOOK_MODE", "none")
    assert (await post(signed())).status == 401


async def test_a_refusal_leaves_no_trace_of_the_body_or_the_signature(
    hmac_mode: Stack, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        await post({**signed(), SIGNATURE: "ab" * 32})
    printed = capfd.readouterr()
    everything = caplog.text + str([vars(record) for record in caplog.records]) + printed.out + printed.err
    assert "401" in everything
    for secret in ("someone", "RF-1", "abab", "353882", "old"):
        assert secret not in everything


async def test_a_forger_is_slowed_down_and_what_is_genuine_is_not(hmac_mode: Stack) -> None:
    forged = {**signed(), SIGNATURE: "ab" * 32, "x-forwarded-for": "203.0.113.7"}
    statuses = [(await post(forged)).status for _ in range(FAILED_VERIFICATIONS[0] + 1)]
    assert (set(statuses[:-1]), statuses[-1]) == ({401}, 429)
    assert (await post({**signed(), "x-forwarded-for": "203.0.113.7"})).status == 200
    assert len(await hmac_mode.published("webhook-phonepe")) == 1


async def test_when_it_cannot_be_published_the_provider_is_asked_to_come_again(
    hmac_mode: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    started = asyncio.get_running_loop().time()
    result = await post(signed())
    assert (result.status, "retry-after" in result.headers) == (503, True)
    assert asyncio.get_running_loop().time() - started < 4
