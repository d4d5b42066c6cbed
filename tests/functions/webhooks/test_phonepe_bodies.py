"""What PhonePe, or somebody who pretends to be PhonePe, may put into a body and its headers."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.functions.testing import HttpEvent, invoke
from functions.webhooks.phonepe.main import main
from tests.functions.webhooks.test_phonepe import GOOD, KEY_ID, SIGNATURE, post, signed

if TYPE_CHECKING:
    from tests.stack import Stack


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"not json", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"event": "\xff"}', "not valid UTF-8"),
        ('{"event": "é"}'.encode("utf-16"), "not valid UTF-8"),
        (b'{"event": "\\ud800"}', "not valid UTF-8"),
        (b'["a list"]', "must be a JSON object"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested deeper"),
        (b'{"amount": ' + b"9" * 100_000 + b"}", "too many digits"),
        (b'{"amount": NaN}', "NaN is not a JSON number"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
async def test_the_body_is_verified_before_it_is_parsed(hmac_mode: Stack, body: bytes, complaint: str) -> None:
    assert (await post({"content-type": "application/json", SIGNATURE: "0" * 64}, body)).status == 401
    result = await post(signed(body), body)
    assert (result.status, complaint in result.json()["detail"]) == (400, True)
    assert await hmac_mode.published("webhook-phonepe") == []


async def test_a_body_may_have_a_mebibyte_and_not_a_byte_more(hmac_mode: Stack) -> None:
    largest = b'{"a": "' + b"x" * (1024 * 1024 - 9) + b'"}'
    assert (await post(signed(largest), largest)).status == 200
    assert (await post(signed(largest + b" "), largest + b" ")).status == 413
    assert [len(message.data) for message in await hmac_mode.published("webhook-phonepe")] == [1024 * 1024]


values = st.text(st.characters(max_codepoint=255), max_size=80) | st.sampled_from([GOOD, "0" * 64, "sha256=" + GOOD])
requests = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (SIGNATURE, KEY_ID, "authorization", "content-type", "content-encoding", "content-length"), values
    ),
)


@given(requests, st.binary(max_size=60), st.sampled_from(["POST", "GET", "PUT"]), st.sampled_from(["hmac", "basic"]))
def test_a_stranger_is_never_answered_with_5xx(headers: dict[str, str], body: bytes, method: str, mode: str) -> None:
    secrets = {"PHONEPE_WEBHOOK_MODE": mode, "PHONEPE_WEBHOOK_SECRETS": "k1:only-we-know-this"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in secrets.items():
            patch.setenv(name, value)
        answer = asyncio.run(invoke(main, HttpEvent(body=body, headers=headers, method=method)))
    assert 400 <= answer.status <= 499
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"event": 7, "payload": []}',
        b'{"merchantRefundId": "R1", "state": "COMPLETED", "amount": 100}',
        b'{"event": "pg.refund.failed", "payload": {"refundId": "a", "refundId": "b", "originalMerchantOrderId": ""}}',
        b'{"event": "checkout.order.completed", "payload": {"merchantOrderId": "../../x", "state": "COMPLETED"}}',
    ],
)
async def test_a_verified_body_of_any_shape_is_kept(hmac_mode: Stack, body: bytes) -> None:
    assert (await post(signed(body), body)).status == 200
    (message,) = await hmac_mode.published("webhook-phonepe")
    assert message.data == body
    assert message.attributes["ce-id"] == f"phonepe/unnamed/{hashlib.sha256(body).hexdigest()}"
