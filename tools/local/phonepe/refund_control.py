"""The hand behind the stand-in, for refunds: issue one as the dashboard does, complete it, break its answers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.local.phonepe.checks import bad_request
from tools.local.phonepe.delivery import post_webhook
from tools.local.phonepe.orders import FAIL_MODES
from tools.local.phonepe.payload import json_object
from tools.local.phonepe.refunds import Refund, check_refund, unknown_refund
from tools.local.phonepe.webhooks import build_refund_event

if TYPE_CHECKING:
    from starlette.requests import Request

    from tools.local.phonepe.app import PhonePe

_FIELDS = {
    "state": "state",
    "amount": "amount",
    "merchantId": "merchant_id",
    "originalMerchantOrderId": "merchant_order_id",
    "fail": "fail",
}


class RefundControl:
    """The control API of one stand-in's refunds."""

    def __init__(self, phonepe: PhonePe) -> None:
        self._phonepe = phonepe

    def routes(self) -> list[Route]:
        """To be mounted at ``/_local``."""
        return [
            Route("/orders/{merchant_order_id}/refunds", self.create, methods=["POST"]),
            Route("/refunds/{merchant_refund_id}", self.show, methods=["GET"]),
            Route("/refunds/{merchant_refund_id}", self.change, methods=["PATCH"]),
            Route("/refunds/{merchant_refund_id}/webhook", self.webhook, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """``POST /orders/{id}/refunds``: amount (all that was paid), merchantRefundId, state (PENDING)."""
        asked, order_id = await json_object(request), request.path_params["merchant_order_id"]
        state = asked.pop("state", "PENDING")
        paid = self._phonepe.orders.get(order_id)
        refund = check_refund(
            {
                "merchantRefundId": f"RR-{secrets.token_hex(9)}",
                "amount": paid.amount if paid else 0,
                **asked,
                "originalMerchantOrderId": order_id,
            },
            self._phonepe.orders,
            self._phonepe.refunds,
            self._phonepe.secrets.phonepe_merchant_id,
        )
        refund.state = state
        self._phonepe.refunds[refund.merchant_refund_id] = refund
        return JSONResponse(_everything(refund), 201)

    async def show(self, request: Request) -> Response:
        """``GET /refunds/{id}``."""
        return JSONResponse(_everything(self._find(request)))

    async def change(self, request: Request) -> Response:
        """``PATCH /refunds/{id}``: state, amount, merchantId, originalMerchantOrderId, fail; no limit is checked."""
        refund, asked = self._find(request), await json_object(request)
        unknown = asked.keys() - _FIELDS.keys()
        if unknown:
            raise bad_request(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(_FIELDS)}")
        if asked.get("fail") not in {None, *FAIL_MODES}:
            raise bad_request(f"fail: null, {', '.join(FAIL_MODES)}")
        for name, value in asked.items():
            setattr(refund, _FIELDS[name], value)
        return JSONResponse(_everything(refund))

    async def webhook(self, request: Request) -> Response:
        """``POST /refunds/{id}/webhook``: url, mode, event, override, wrapped (true), headers."""
        refund, asked = self._find(request), await json_object(request)
        body = build_refund_event(
            refund, event=asked.get("event"), override=asked.get("override"), wrapped=asked.get("wrapped", True)
        )
        return await post_webhook(asked, body, self._phonepe.secrets)

    def _find(self, request: Request) -> Refund:
        refund = self._phonepe.refunds.get(request.path_params["merchant_refund_id"])
        if refund is None:
            raise unknown_refund()
        return refund


def _everything(refund: Refund) -> dict[str, Any]:
    return {**refund.status(), "merchantRefundId": refund.merchant_refund_id, "fail": refund.fail}
