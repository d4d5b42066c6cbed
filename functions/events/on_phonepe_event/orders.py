"""PhonePe's order status API: the only place where an amount and a state are believed.

Three facts of the v2 API (PhonePe's Standard Checkout reference): the token comes from ``/v1/oauth/token`` by client
credentials and travels as ``Authorization: O-Bearer …``; the state is at the root; amounts are paise. PhonePe's own SDK
raises on every event, mode or state that it does not know, so two plain calls serve better.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common import clock
from common.config.secrets import secret_values
from common.errors import InvalidInput, Misconfigured, Unavailable
from common.functions.deadline import remaining
from common.functions.jsonbody import parse_object
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

TIMEOUT_SECONDS = 5.0
TOKEN_MARGIN_SECONDS = 60
SHOWN_OF_AN_INSTRUMENT = ("type", "maskedAccountNumber", "maskedCardNumber", "accountType", "brn", "cardNetwork")
"""Copied to our row. A UPI address (``vpa``) names a person and is not."""


@dataclass(frozen=True)
class OrderStatus:
    """What PhonePe says of an order.

    Attributes:
        merchant_order_id: ours; None where PhonePe's answer does not repeat it.
        merchant_id: whose order it is; None where the answer does not say.
        state: COMPLETED, FAILED, PENDING, EXPIRED or something newer.
        amount_paise: the order's.
        transaction_id: PhonePe's id of the payment that went through, empty if none did.
        method: UPI_QR, CARD, NET_BANKING …, empty if unknown.
        instrument: masked.
        failure_code: PhonePe's, empty unless it failed.
    """

    merchant_order_id: str | None
    merchant_id: str | None
    state: str
    amount_paise: int
    transaction_id: str
    method: str
    instrument: Mapping[str, str] = field(default_factory=dict)
    failure_code: str = ""


class PhonePeOrders:
    """A client of the status API; one per process and event loop, see `phonepe_orders`."""

    def __init__(self) -> None:
        import httpx  # noqa: PLC0415 - not before the first order

        self._base = _setting("PHONEPE_BASE_URL").rstrip("/")
        self._auth_url = os.environ.get("PHONEPE_AUTH_URL") or f"{self._base}/v1/oauth/token"
        self._http = httpx.AsyncClient(follow_redirects=False)
        self._token = ""
        self._token_ends = 0.0
        self._refreshing = asyncio.Lock()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def status(self, merchant_order_id: str) -> OrderStatus:
        """Ask for one order.

        Raises:
            Unavailable: PhonePe is down, slow, does not know the order (yet), or answers nonsense.
            Misconfigured: it refuses our credentials.
        """
        path = f"{self._base}/checkout/v2/order/{quote(merchant_order_id, safe='')}/status"
        response = await self._get(path)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self._token_ends = 0.0  # revoked before its time: one more try with a new one
            response = await self._get(path)
        if response.status_code != HTTPStatus.OK:
            raise Unavailable(f"PhonePe's status API answered {response.status_code}")
        try:
            return _read(parse_object(response.content))
        except InvalidInput as error:
            raise Unavailable(f"PhonePe's status API answered nonsense: {error}") from None

    async def _get(self, url: str) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Authorization": f"O-Bearer {await self._fresh_token()}"}
        return await self._send("GET", url, headers=headers)

    async def _fresh_token(self) -> str:
        async with self._refreshing:
            if clock.now().timestamp() >= self._token_ends - TOKEN_MARGIN_SECONDS:
                await self._refresh()
            return self._token

    async def _refresh(self) -> None:
        secrets = secret_values("phonepe-client-secret")
        if not secrets:
            raise Misconfigured("PHONEPE_CLIENT_SECRET is not set")
        form = {
            "client_id": _setting("PHONEPE_CLIENT_ID"),
            "client_version": os.environ.get("PHONEPE_CLIENT_VERSION", "1"),
            "client_secret": secrets[0],
            "grant_type": "client_credentials",
        }
        response = await self._send("POST", self._auth_url, data=form)
        if response.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Misconfigured(f"PhonePe refuses our client credentials ({response.status_code})")
        try:
            answer = parse_object(response.content)
        except InvalidInput:
            answer = {}
        token, ends = answer.get("access_token"), answer.get("expires_at")
        if response.status_code != HTTPStatus.OK or not isinstance(token, str) or not isinstance(ends, int):
            raise Unavailable(f"PhonePe issued no token ({response.status_code})")
        self._token, self._token_ends = token, float(ends)

    async def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        import httpx  # noqa: PLC0415

        try:
            async with asyncio.timeout(remaining(TIMEOUT_SECONDS)):
                return await self._http.request(method, url, timeout=None, **options)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"PhonePe cannot be reached ({type(error).__name__})") from error


@per_loop
def phonepe_orders() -> PhonePeOrders:
    """The client of this process and event loop."""
    return PhonePeOrders()


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise Misconfigured(f"{name} is not set")
    return value


def _read(answer: Mapping[str, Any]) -> OrderStatus:
    state, amount = answer.get("state"), answer.get("amount")
    if not isinstance(state, str) or not isinstance(amount, int) or isinstance(amount, bool):
        raise InvalidInput("an order has a state and an amount")
    attempts = [item for item in answer.get("paymentDetails") or () if isinstance(item, dict)]
    paid = next((item for item in attempts if item.get("state") == "COMPLETED"), attempts[-1] if attempts else {})
    return OrderStatus(
        merchant_order_id=_text(answer.get("merchantOrderId")) or None,
        merchant_id=_text(answer.get("merchantId")) or None,
        state=state,
        amount_paise=amount,
        transaction_id=_text(paid.get("transactionId")),
        method=_text(paid.get("paymentMode")),
        instrument=_shown(paid),
        failure_code=_text(answer.get("errorCode") or paid.get("errorCode")),
    )


def _shown(paid: Mapping[str, Any]) -> dict[str, str]:
    """What may be kept of how it was paid; a split payment's first part stands for it."""
    parts = paid.get("splitInstruments")
    first = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], dict) else {}
    instrument = paid.get("instrument") or first.get("instrument")
    if not isinstance(instrument, dict):
        return {}
    return {key: _text(instrument[key]) for key in SHOWN_OF_AN_INSTRUMENT if _text(instrument.get(key))}


def _text(value: Any) -> str:
    return value[:100] if isinstance(value, str) else ""
