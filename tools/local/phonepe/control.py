"""The hand behind the stand-in: tests, the demonstration and people play customer and PhonePe through ``/_local``."""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, get_args

import httpx
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.local.environment import WebhookMode
from tools.local.phonepe.checks import Refused, bad_request, unknown_order
from tools.local.phonepe.orders import FAIL_MODES, Order
from tools.local.phonepe.webhooks import HeaderNames, build_order_event, sign_headers

if TYPE_CHECKING:
    from starlette.requests import Request

    from tools.local.phonepe.app import PhonePe

WEBHOOK_SECONDS = 25.0
_FIELDS = {"state": "state", "amount": "amount", "merchantId": "merchant_id", "metaInfo": "meta_info", "fail": "fail"}


async def json_object(request: Request) -> dict[str, Any]:
    """The body.

    Raises:
        Refused: 400, it is not a JSON object.
    """
    try:
        body = await request.json()
    except (JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise bad_request("the body must be a JSON object")
    return body


class Control:
    """The control API of one stand-in."""

    def __init__(self, phonepe: PhonePe) -> None:
        self._phonepe = phonepe

    def routes(self) -> list[Route]:
        """To be mounted at ``/_local``."""
        return [
            Route("/orders", self.create, methods=["POST"]),
            Route("/orders/{merchant_order_id}", self.show, methods=["GET"]),
            Route("/orders/{merchant_order_id}", self.change, methods=["PATCH"]),
            Route("/orders/{merchant_order_id}/webhook", self.webhook, methods=["POST"]),
            Route("/requests", self.requests, methods=["GET"]),
            Route("/tokens", self.expire_tokens, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """``POST /orders``: an order in any state."""
        asked = await json_object(request)
        order_id = asked.pop("merchantOrderId", None)
        if not isinstance(order_id, str) or not order_id:
            raise bad_request("merchantOrderId is missing")
        changes = {"merchant_id": self._phonepe.secrets.phonepe_merchant_id, **_changes(asked)}
        if "amount" not in changes:
            raise bad_request("amount is missing")
        self._phonepe.orders[order_id] = order = Order(order_id, **changes)
        return JSONResponse(_everything(order), 201)

    async def show(self, request: Request) -> Response:
        """``GET /orders/{id}``."""
        return JSONResponse(_everything(self._find(request)))

    async def change(self, request: Request) -> Response:
        """``PATCH /orders/{id}``: state, amount, merchantId, metaInfo, fail."""
        order, changes = self._find(request), _changes(await json_object(request))
        state = changes.pop("state", order.state)
        for name, value in changes.items():
            setattr(order, name, value)
        if state != order.state:
            order.move(state)
        return JSONResponse(_everything(order))

    async def webhook(self, request: Request) -> Response:
        """``POST /orders/{id}/webhook``: url, mode, event, override, headers (names of the signature's)."""
        order, asked = self._find(request), await json_object(request)
        mode, url = asked.get("mode", "hmac"), asked.get("url")
        if mode not in get_args(WebhookMode) or not isinstance(url, str):
            raise bad_request("url, and mode: hmac or basic")
        try:
            names = HeaderNames(**asked.get("headers", {}))
        except TypeError as error:
            raise bad_request("headers: signature, key_id, authorization") from error
        secrets = self._phonepe.secrets
        body = build_order_event(order, event=asked.get("event"), override=asked.get("override"))
        signed = sign_headers(body, mode, secrets.phonepe_hmac if mode == "hmac" else secrets.phonepe_basic, names)
        try:
            async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS, trust_env=False) as client:
                answer = await client.post(url, content=body, headers={"content-type": "application/json", **signed})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(502, "WEBHOOK_NOT_DELIVERED", f"{url}: {type(error).__name__} {error}") from error
        return JSONResponse({"status": answer.status_code})

    async def requests(self, _request: Request) -> Response:
        """``GET /requests``."""
        return JSONResponse(list(self._phonepe.requests))

    async def expire_tokens(self, _request: Request) -> Response:
        """``DELETE /tokens``."""
        self._phonepe.tokens.expire()
        return Response(status_code=204)

    def _find(self, request: Request) -> Order:
        order = self._phonepe.orders.get(request.path_params["merchant_order_id"])
        if order is None:
            raise unknown_order()
        return order


def _changes(asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, under our names."""
    unknown = asked.keys() - _FIELDS.keys()
    if unknown:
        raise bad_request(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(_FIELDS)}")
    if asked.get("fail") not in {None, *FAIL_MODES}:
        raise bad_request(f"fail: null, {', '.join(FAIL_MODES)}")
    return {_FIELDS[name]: value for name, value in asked.items()}


def _everything(order: Order) -> dict[str, Any]:
    return {**order.status(details=True), "fail": order.fail}
