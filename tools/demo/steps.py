"""The steps of the demonstration; each says what it found, or raises `StepFailed`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pypdfium2
from rich.console import Console

from common.events.outbox import live_channel
from common.infrastructure.storage import cloud_storage
from common.lifecycle import aclose_all
from common.redis.pubsub import PubSubService
from tools.gateway_process import start_gateway, stop
from tools.sample_data import Checkout, create_customer, payment_state, start_checkout
from tools.trace import draw, lines_of, newest, read, roots

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tools.local.cloud import LocalCloud
    from tools.trace import Node

WAIT_SECONDS = 20.0
FUNCTION = "webhook-phonepe"


class StepFailed(Exception):  # noqa: N818 - a result
    """A step of the demonstration did not do what it should."""


@dataclass
class Demo:
    """What the steps share."""

    cloud: LocalCloud
    port: int
    reload: bool
    heard: list[dict[str, Any]] = field(default_factory=list)
    gateway: subprocess.Popen[bytes] | None = None
    checkout: Checkout | None = None
    listener: PubSubService | None = None
    pdf_url: str = ""

    @property
    def url(self) -> str:
        """The gateway's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where the functions' log lines go."""
        return self.cloud.root / "logs" / "gateway.log"

    @property
    def order(self) -> Checkout:
        """The checkout that the earlier step started."""
        if self.checkout is None:
            raise StepFailed("no checkout was started")
        return self.checkout

    # --- the steps

    async def start_cloud(self) -> str:
        """Start the local cloud."""
        started = time.monotonic()
        await asyncio.to_thread(self.cloud.up)
        os.environ.update(self.cloud.environment())
        return f"ready in {time.monotonic() - started:.1f} s"

    async def start_gateway(self) -> str:
        """Serve every function."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.gateway = start_gateway(self.cloud.root, self.port, log, reload=self.reload)
        async with httpx.AsyncClient() as client:
            functions = await self._until(lambda: self._index(client), "the gateway answers")
        return f"{len(functions)} functions at {self.url}"

    async def sign_up(self) -> str:
        """Sign a founder up, in a workspace of her own, and start a checkout of Growth, monthly."""
        customer = await asyncio.to_thread(create_customer, self.cloud.admin_database_url())
        self.checkout = await start_checkout(self.cloud.admin_database_url(), customer)
        return f"order {self.order.merchant_order_id}: ₹3,538.82 to pay at {self.order.redirect_url}"

    async def listen(self) -> str:
        """Listen to the workspace's live events, as an open page does."""
        self.listener = PubSubService()

        async def hear(message: dict[str, Any]) -> None:
            self.heard.append(message)

        channel = live_channel(self.order.workspace_id)
        await self.listener.subscribe(channel, hear)
        return f"on Redis, channel {channel}"

    async def forge(self) -> str:
        """Post a webhook whose signature is wrong."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{self.url}/{FUNCTION}",
                content=json.dumps({"event": "checkout.order.completed"}),
                headers={"content-type": "application/json", "x-phonepe-checksum-signature": "0" * 64},
            )
        self._expect(answer.status_code == 401, f"the forged webhook was answered {answer.status_code}")
        return "401, nothing changed"

    async def pay(self) -> str:
        """Let the customer pay; PhonePe posts its signed webhook to the function's URL."""
        await self.order.pay()
        status = await self.order.send_webhook(f"{self.url}/{FUNCTION}")
        self._expect(status == 200, f"the webhook was answered {status}")
        return "checkout.order.completed, answered 200"

    async def activate(self) -> str:
        """Wait for the confirmed order to become an active subscription."""
        state = await self._until(self._completed, "the payment is completed and its plan active")
        return f"plan {state['plan']} active until {state['current_period_end']:%d %b %Y}, budget $50 a month"

    async def hear(self) -> str:
        """Hear of it live, and find both events published."""
        types = {"raptorflow.payment.completed.v1", "raptorflow.subscription.activated.v1"}
        await self._until(self._heard_all(types), "the live listener hears both events")
        state = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        self._expect(state["unpublished"] == 0, f"{state['unpublished']} events are not published to Pub/Sub")
        return "payment.completed and subscription.activated, on Pub/Sub and on Redis"

    async def invoice(self) -> str:
        """Wait for the tax invoice, drawn and put into its bucket."""
        state = await self._until(self._drawn, "the invoice has its PDF")
        return f"{state['invoice_number']}, {state['pdf_object']}"

    async def read(self) -> str:
        """Read the PDF through a signed URL, and find a changed URL refused."""
        state = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        self.pdf_url = await cloud_storage().generate_signed_url("invoices", state["pdf_object"], timedelta(hours=1))
        async with httpx.AsyncClient() as client:
            answer, changed = await client.get(self.pdf_url), await client.get(self.pdf_url.replace("/RF-", "/RF-1"))
        self._expect(answer.status_code == 200, f"the signed URL was answered {answer.status_code}")
        self._expect(changed.status_code == 403, f"the changed URL was answered {changed.status_code}")
        self._expect(hashlib.sha256(answer.content).hexdigest() == state["pdf_sha256"], "the PDF is not the one noted")
        text = pypdfium2.PdfDocument(answer.content)[0].get_textpage().get_text_range()
        shown = (state["invoice_number"], "GSTIN 29AABCU9603R1ZJ", "IGST @ 18 %", "₹3,538.82")
        missing = [words for words in shown if words not in text]
        self._expect(not missing, f"the PDF does not show {', '.join(missing)}")
        return f"{len(answer.content):,} bytes, {', '.join(shown)}"

    async def mail(self) -> str:
        """Find it in the customer's mail."""
        found = await self._until(self._mails, "the mail has come")
        (mail,) = found
        return f"“{mail['subject']}” to {mail['to'][0]} with {mail['attachments'][0]['filename']}"

    async def follow(self) -> str:
        """Follow one trace from the webhook to the mail."""

        async def complete() -> tuple[str, list[Node]] | None:
            traces = read(lines_of(self.cloud.root)) if lines_of(self.cloud.root).exists() else {}
            begun = newest(traces)
            spans = traces.get(begun or "", [])
            done = {"job-generate-invoice", "sending a mail"} <= {span.name for span in spans}
            return (begun or "", spans) if done else None

        trace, spans = await self._until(complete, "one trace reaches from the webhook to the mail")
        (root,) = roots(spans)
        self._expect(root.name == FUNCTION, f"the trace begins with {root.name}")
        tree = io.StringIO()
        Console(file=tree, width=100).print(draw(trace, spans))
        return tree.getvalue().strip().replace("\n", "\n     ")

    async def repeat(self) -> str:
        """Let PhonePe send the same webhook ten times at once."""
        before = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        answers = await asyncio.gather(*(self.order.send_webhook(f"{self.url}/{FUNCTION}") for _ in range(10)))
        self._expect(set(answers) == {200}, f"answered {sorted(set(answers))}")
        await asyncio.sleep(1)  # nothing is to happen, and nothing announces that
        after = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        self._expect(before == after, "the repeated webhook changed something")
        mails = await self._mails()
        self._expect(len(mails) == 1, f"there are {len(mails)} mails")
        return "ten times 200, still one activation, one invoice, one mail"

    # --- their tools

    async def _completed(self) -> dict[str, Any] | None:
        state = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        return state if state["status"] == "completed" and state["plan"] == "growth" else None

    async def _drawn(self) -> dict[str, Any] | None:
        state = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        return state if state["pdf_object"] else None

    async def _mails(self) -> list[dict[str, Any]]:
        state = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        async with httpx.AsyncClient(base_url=os.environ["RESEND_BASE_URL"]) as client:
            mails: list[dict[str, Any]] = (await client.get("/api/mails", params={"to": state["email"]})).json()[
                "mails"
            ]
        return mails if state["mailed_at"] else []

    def _heard_all(self, types: set[str]) -> Callable[[], Awaitable[bool]]:
        async def heard() -> bool:
            return types <= {message["type"] for message in self.heard}

        return heard

    async def _index(self, client: httpx.AsyncClient) -> dict[str, Any] | None:
        if self.gateway is not None and self.gateway.poll() is not None:
            raise StepFailed(f"the gateway ended with {self.gateway.returncode}; its log is {self.log}")
        try:
            answer = await client.get(self.url)
        except httpx.TransportError:
            return None
        index: dict[str, Any] = answer.json()
        return index

    async def _until(self, condition: Callable[[], Awaitable[Any]], what: str) -> Any:
        ends = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < ends:
            if found := await condition():
                return found
            await asyncio.sleep(0.05)
        raise StepFailed(f"after {WAIT_SECONDS:.0f} s it is not yet true that {what}; see {self.log}")

    @staticmethod
    def _expect(met: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as what it is
        if not met:
            raise StepFailed(otherwise)

    async def close(self, *, keep_cloud: bool) -> None:
        """Stop what was started, in the reverse order."""
        with contextlib.suppress(Exception):  # whatever it is, the rest must still be stopped
            await aclose_all()
        if self.gateway is not None:
            stop(self.gateway)
        if not keep_cloud:
            await asyncio.to_thread(self.cloud.down)
