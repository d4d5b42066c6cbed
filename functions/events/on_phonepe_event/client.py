"""PhonePe's v2 API, as much of it as we read: an access token, and JSON answers.

Facts (PhonePe's Standard Checkout reference): the token comes from ``/v1/oauth/token`` by client credentials and
travels as ``Authorization: O-Bearer …``. PhonePe's own SDK raises on every event, mode or state that it does not know,
so plain calls serve better.
"""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from common import clock
from common.config.environment import setting
from common.config.secrets import secret_values
from common.errors import InvalidInput, Misconfigured, Unavailable
from common.functions.deadline import remaining
from common.functions.jsonbody import parse_object
from common.infrastructure.tracing import span
from common.lifecycle import per_loop

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 5.0
TOKEN_MARGIN_SECONDS = 60


class PhonePeClient:
    """A client of PhonePe; one per process and event loop, see `phonepe_client`."""

    def __init__(self) -> None:
        import httpx  # noqa: PLC0415 - not before the first order

        self._base = _required("PHONEPE_BASE_URL").rstrip("/")
        self._auth_url = setting("PHONEPE_AUTH_URL") or f"{self._base}/v1/oauth/token"
        self._http = httpx.AsyncClient(follow_redirects=False)
        self._token = ""
        self._token_ends = 0.0
        self._refreshing = asyncio.Lock()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def get(self, path: str) -> dict[str, Any] | None:
        """The answer of ``path``; None where PhonePe knows no such thing (404).

        Raises:
            Unavailable: PhonePe is down, slow, or answers nonsense.
            Misconfigured: it refuses our credentials.
        """
        response = await self._get(path)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self._token_ends = 0.0  # revoked before its time: one more try with a new one
            response = await self._get(path)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK:
            raise Unavailable(f"PhonePe's status API answered {response.status_code}")
        try:
            return parse_object(response.content)
        except InvalidInput as error:
            raise nonsense(error) from None

    async def _get(self, path: str) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Authorization": f"O-Bearer {await self._fresh_token()}"}
        return await self._send("GET", f"{self._base}{path}", headers=headers)

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
            "client_id": _required("PHONEPE_CLIENT_ID"),
            "client_version": os.environ.get("PHONEPE_CLIENT_VERSION") or "1",
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
            with span("asking PhonePe" if method == "GET" else "asking PhonePe for a token"):
                async with asyncio.timeout(remaining(TIMEOUT_SECONDS)):
                    return await self._http.request(method, url, timeout=None, **options)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"PhonePe cannot be reached ({type(error).__name__})") from error


@per_loop
def phonepe_client() -> PhonePeClient:
    """The client of this process and event loop."""
    return PhonePeClient()


def nonsense(error: InvalidInput) -> Unavailable:
    """What an answer that cannot be read comes to: it may be better the next time."""
    return Unavailable(f"PhonePe's status API answered nonsense: {error}")


def text(value: Any) -> str:
    """A field of an answer that should be a short text, empty if it is none; without NULs, which Postgres refuses."""
    return value.replace("\x00", "")[:100] if isinstance(value, str) else ""


def state_and_amount(answer: dict[str, Any]) -> tuple[str, int]:
    """What every answer of the status APIs has at its root; the amount is in paise.

    Raises:
        InvalidInput: this one has not.
    """
    state, amount = answer.get("state"), answer.get("amount")
    if not isinstance(state, str) or not isinstance(amount, int) or isinstance(amount, bool):
        raise InvalidInput("it has no state or no amount")
    return state, amount


def _required(name: str) -> str:
    value = setting(name)
    if not value:
        raise Misconfigured(f"{name} is not set")
    return value
