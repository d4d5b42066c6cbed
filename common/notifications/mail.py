"""The mail provider's API (Resend: ``POST /emails``): one request for one mail, safe to repeat for a day.

The provider remembers an idempotency key for 24 hours: the same request again is answered with the first one's id, and
another request under the same key is refused, so whatever came first stays (resend.com/docs, idempotency keys).
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from common.config.secrets import secret_values
from common.errors import InvalidInput, Misconfigured, RaptorFlowError, Unavailable
from common.functions.deadline import remaining
from common.functions.jsonbody import parse_object
from common.infrastructure.tracing import span
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

TIMEOUT_SECONDS = 10.0
MAX_ATTACHMENTS_BYTES = 28 * 1024 * 1024
"""40 MB is the provider's limit after base64."""


class Refused(RaptorFlowError):  # noqa: N818 - an answer
    """The provider will never take this mail: an address is not one, say."""


class OutcomeUnknown(Unavailable):
    """The request may have arrived: only the same key may be used again."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a mail."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail."""

    to: str
    subject: str
    html: str
    text: str
    attachments: Sequence[Attachment] = ()


class MailClient:
    """A client of the provider; one per process and event loop, see `mail_client`."""

    def __init__(self) -> None:
        import httpx  # noqa: PLC0415 - not before the first mail

        base = os.environ.get("RESEND_BASE_URL") or "https://api.resend.com"
        self._url = f"{base.rstrip('/')}/emails"
        self._http = httpx.AsyncClient(follow_redirects=False)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def send(self, mail: Mail, key: str) -> str:
        """Hand a mail over; the provider's id of it, empty where an earlier one under ``key`` had another content.

        Raises:
            Refused: it will never be taken.
            OutcomeUnknown: nobody knows whether it was taken.
            Unavailable: it was not taken, and may be later.
            Misconfigured: our key or our sender is not accepted.
        """
        response = await self._post(mail, key)
        match response.status_code:
            case HTTPStatus.OK | HTTPStatus.CREATED:
                return _id(response)
            case HTTPStatus.CONFLICT if _name(response) == "invalid_idempotent_request":
                return ""
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise Misconfigured(f"the mail provider refuses our key or sender ({response.status_code})")
            case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
                raise Refused(f"the mail provider refuses the mail: {_name(response)}")
            case HTTPStatus.TOO_MANY_REQUESTS:
                after = response.headers.get("retry-after", "")
                raise Unavailable("the mail provider is busy", float(after) if after.isdecimal() else None)
            case status:  # 409 says that another request under the key is under way; a 5xx says nothing
                raise OutcomeUnknown(f"the mail provider answered {status}")

    async def _post(self, mail: Mail, key: str) -> httpx.Response:
        import httpx  # noqa: PLC0415

        keys = secret_values("resend-api-key")
        sender = os.environ.get("SENDER_EMAIL_ADDRESS", "")
        if not keys or not sender:
            raise Misconfigured("RESEND_API_KEY and SENDER_EMAIL_ADDRESS must be set to send mail")
        headers = {"Authorization": f"Bearer {keys[0]}", "Idempotency-Key": key}
        try:
            with span("sending a mail"):
                async with asyncio.timeout(remaining(TIMEOUT_SECONDS)):
                    return await self._http.post(self._url, json=_body(mail, sender), headers=headers, timeout=None)
        except httpx.ConnectError as error:
            raise Unavailable("the mail provider cannot be reached") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise OutcomeUnknown(f"the mail provider did not answer ({type(error).__name__})") from error


@per_loop
def mail_client() -> MailClient:
    """The client of this process and event loop."""
    return MailClient()


def _body(mail: Mail, sender: str) -> dict[str, Any]:
    if sum(len(item.content) for item in mail.attachments) > MAX_ATTACHMENTS_BYTES:
        raise Refused("the attachments are too large")
    body: dict[str, Any] = {
        "from": sender,
        "to": [mail.to],
        "subject": mail.subject,
        "html": mail.html,
        "text": mail.text,
    }
    if mail.attachments:
        body["attachments"] = [
            {
                "filename": item.filename,
                "content_type": item.content_type,
                "content": base64.b64encode(item.content).decode(),
            }
            for item in mail.attachments
        ]
    return body


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        return parse_object(response.content)
    except InvalidInput:
        return {}


def _id(response: httpx.Response) -> str:
    identity = _answer(response).get("id")
    return identity[:255] if isinstance(identity, str) else ""


def _name(response: httpx.Response) -> str:
    name = _answer(response).get("name")
    return name[:64] if isinstance(name, str) else f"{response.status_code}"
