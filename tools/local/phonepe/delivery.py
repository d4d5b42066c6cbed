"""Posting a webhook when the control API is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import httpx
from starlette.responses import JSONResponse, Response

from tools.local.environment import WebhookMode
from tools.local.phonepe.checks import Refused, bad_request
from tools.local.phonepe.webhooks import HeaderNames, sign_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.local.environment import Secrets

WEBHOOK_SECONDS = 25.0


async def post_webhook(asked: Mapping[str, Any], body: bytes, secrets: Secrets) -> Response:
    """Sign ``body``, post it as asked (url, mode, names of the headers), and tell what it was answered.

    Raises:
        Refused: 400 for a wrong wish, 502 where nobody takes the webhook.
    """
    mode, url = asked.get("mode", "hmac"), asked.get("url")
    if mode not in get_args(WebhookMode) or not isinstance(url, str):
        raise bad_request("url, and mode: hmac or basic")
    try:
        names = HeaderNames(**asked.get("headers", {}))
    except TypeError as error:
        raise bad_request("headers: signature, key_id, authorization") from error
    signed = sign_headers(body, mode, secrets.phonepe_hmac if mode == "hmac" else secrets.phonepe_basic, names)
    try:
        async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS, trust_env=False) as client:
            answer = await client.post(url, content=body, headers={"content-type": "application/json", **signed})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refused(502, "WEBHOOK_NOT_DELIVERED", f"{url}: {type(error).__name__} {error}") from error
    return JSONResponse({"status": answer.status_code})
