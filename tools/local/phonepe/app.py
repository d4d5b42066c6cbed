"""The API that RaptorFlow calls, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tools.local.phonepe import control
from tools.local.phonepe.checks import Refused, Tokens, bad_request, check_payment, unknown_order
from tools.local.phonepe.orders import EXPIRES_AFTER_SECONDS, FailMode, Order, now_ms
from tools.local.phonepe.payload import json_object
from tools.local.phonepe.refunds import Refund, check_refund, unknown_refund

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from tools.local.environment import Secrets

HANG_SECONDS = 60.0
_REMEMBERED_REQUESTS = 1000


@dataclass
class PhonePe:
    """What the stand-in remembers.

    Attributes:
        secrets: its merchant, client and webhook secrets.
        tokens: those it issued.
        orders: by the merchant's order id.
        refunds: by the merchant's refund id.
        requests: what the API was asked, newest last.
    """

    secrets: Secrets
    tokens: Tokens
    orders: dict[str, Order] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_REQUESTS))

    async def token(self, request: Request) -> Response:
        """``POST /v1/oauth/token``."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            raise bad_request("Content-Type must be application/x-www-form-urlencoded")
        async with request.form() as form:
            return JSONResponse(self.tokens.issue(form))

    async def pay(self, request: Request) -> Response:
        """``POST /checkout/v2/pay``."""
        self.tokens.check(request.headers.get("authorization", ""))
        asked = await json_object(request)
        check_payment(asked)
        order_id = asked["merchantOrderId"]
        if order_id in self.orders:
            raise Refused(417, "INVALID_MERCHANT_ORDER_ID", "An order with this merchant order id exists already")
        order = Order(
            order_id,
            self.secrets.phonepe_merchant_id,
            asked["amount"],
            meta_info=asked.get("metaInfo") or {},
            expire_at=now_ms() + (asked.get("expireAfter") or EXPIRES_AFTER_SECONDS) * 1000,
        )
        self.orders[order_id] = order
        return JSONResponse(
            {
                "orderId": order.order_id,
                "state": order.state,
                "expireAt": order.expire_at,
                "redirectUrl": f"{request.base_url}_local/orders/{order_id}",
            }
        )

    async def status(self, request: Request) -> Response:
        """``GET /checkout/v2/order/{merchantOrderId}/status``."""
        self.tokens.check(request.headers.get("authorization", ""))
        order = self.orders.get(request.path_params["merchant_order_id"])
        if order is None:
            raise unknown_order()
        truth = order.status(
            details=request.query_params.get("details") == "true",
            error_context=request.query_params.get("errorContext") == "true",
        )
        lie = {"merchantId": "SOMEBODYELSE", "merchantOrderId": "SOMETHING-ELSE", "state": "COMPLETED"}
        return await _answer(truth, order.fail, lie)

    async def refund(self, request: Request) -> Response:
        """``POST /payments/v2/refund``."""
        self.tokens.check(request.headers.get("authorization", ""))
        asked = await json_object(request)
        refund = check_refund(asked, self.orders, self.refunds, self.secrets.phonepe_merchant_id)
        self.refunds[refund.merchant_refund_id] = refund
        return JSONResponse({"refundId": refund.refund_id, "amount": refund.amount, "state": refund.state})

    async def refund_status(self, request: Request) -> Response:
        """``GET /payments/v2/refund/{merchantRefundId}/status``."""
        self.tokens.check(request.headers.get("authorization", ""))
        refund = self.refunds.get(request.path_params["merchant_refund_id"])
        if refund is None:
            raise unknown_refund()
        lie = {"merchantId": "SOMEBODYELSE", "merchantRefundId": "SOMETHING-ELSE", "state": "COMPLETED"}
        named = {"merchantId": refund.merchant_id} if refund.merchant_id != self.secrets.phonepe_merchant_id else {}
        return await _answer(refund.status() | named, refund.fail, lie)

    def recorder(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """``endpoint``, remembering what it was asked and answered; no bodies, headers or secrets."""

        async def recorded(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except Refused as refused:
                response = JSONResponse(refused.body(), refused.status)
            self.requests.append(
                {
                    "method": request.method,
                    "path": request.url.path,
                    "status": response.status_code,
                    "accepted": response.status_code < 400,
                }
            )
            return response

        return recorded


def application(secrets: Secrets) -> Starlette:
    """A PhonePe of its own, without orders."""
    phonepe = PhonePe(secrets, Tokens(secrets))
    return Starlette(
        routes=[
            Route("/v1/oauth/token", phonepe.recorder(phonepe.token), methods=["POST"]),
            Route("/checkout/v2/pay", phonepe.recorder(phonepe.pay), methods=["POST"]),
            Route("/checkout/v2/order/{merchant_order_id}/status", phonepe.recorder(phonepe.status), methods=["GET"]),
            Route("/payments/v2/refund", phonepe.recorder(phonepe.refund), methods=["POST"]),
            Route(
                "/payments/v2/refund/{merchant_refund_id}/status",
                phonepe.recorder(phonepe.refund_status),
                methods=["GET"],
            ),
            Mount("/_local", routes=control.Control(phonepe).routes()),
        ],
        exception_handlers={Refused: _refused, HTTPException: _no_such_api},
    )


async def _answer(truth: dict[str, Any], fail: FailMode | None, lie: dict[str, Any]) -> Response:
    """What a status API answers: the truth, unless it is told to misbehave."""
    match fail:
        case "error":
            raise Refused(500, "INTERNAL_SERVER_ERROR", "There is an error trying to process your transaction")
        case "hang":
            await asyncio.sleep(HANG_SECONDS)
        case "malformed":
            return Response('{"state": "COMPLE', media_type="application/json")
        case "lie":
            truth |= lie
    return JSONResponse(truth)


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return JSONResponse(error.body(), error.status)


async def _no_such_api(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse(Refused(status, "BAD_REQUEST", "Bad Request - Api Mapping Not Found").body(), status)
