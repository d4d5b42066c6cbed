"""The hand behind the stand-in: tests, the demonstration and people play customer and PhonePe through ``/_local``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.local.phonepe.checks import bad_request, unknown_order
from tools.local.phonepe.delivery import post_webhook
from tools.local.phonepe.orders import FAIL_MODES, Order
from tools.local.phonepe.payload import json_object
from tools.local.phonepe.refund_control import RefundControl
from tools.local.phonepe.webhooks import build_order_event

if TYPE_CHECKING:
    from starlette.requests import Request

    from tools.local.phonepe.app import PhonePe

_FIELDS = {
    "state": "state",
    "amount": "amount",
    "merchantId": "merchant_id",
    "merchantOrderId": "merchant_order_id",  # what it answers; it stays known by the id that it was made with
    "metaInfo": "meta_info",
    "fail": "fail",
}


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
            *RefundControl(self._phonepe).routes(),
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
        """``PATCH /orders/{id}``: state, amount, merchantId, merchantOrderId, metaInfo, fail."""
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
        body = build_order_event(order, event=asked.get("event"), override=asked.get("override"))
        return await post_webhook(asked, body, self._phonepe.secrets)

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
