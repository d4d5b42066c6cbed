"""The process dies between any two steps: of the webhook, of the payment's transaction, publishing, acknowledgement.

A child handles the delivery and is killed with SIGKILL before or after its n-th call to anything outside of itself,
for every n until it survives. Then the delivery comes again, as its sender would send it, and everything must be there
once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from common.functions.testing import HttpEvent, invoke
from functions.events.on_phonepe_event.main import main as handler
from functions.webhooks.phonepe.main import main as webhook
from tests.functions.events.test_on_phonepe_event import body, push
from tests.functions.webhooks.test_phonepe import BODY, signed

if TYPE_CHECKING:
    import pytest

    from tests.stack import Stack

CHILD = """
import asyncio, os, signal, sys
import httpx, psycopg, redis.asyncio
from google.pubsub_v1 import PublisherAsyncClient
from common.functions.testing import HttpEvent, invoke

left = int(sys.argv[2])

def step():
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

def deadly(owner, name):
    original = getattr(owner, name)
    async def wrapped(*args, **kwargs):
        step()
        result = await original(*args, **kwargs)
        step()
        return result
    setattr(owner, name, wrapped)

deadly(httpx.AsyncClient, "request")
deadly(psycopg.AsyncConnection, "execute")
deadly(psycopg.AsyncConnection, "commit")
deadly(PublisherAsyncClient, "publish")
deadly(redis.asyncio.Redis, "execute_command")
main = __import__(sys.argv[1], fromlist=["main"]).main
event = HttpEvent(body=sys.stdin.buffer.read(), headers=dict(pair.split("=", 1) for pair in sys.argv[3:]))
result = asyncio.run(invoke(main, event))
print("survived", result.status, left)
"""


async def handled(module: str, event: HttpEvent, steps: int) -> bool:
    """Let a child handle ``event`` and die at step ``steps``; True if it had fewer."""
    headers = dict(event.headers)
    child = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore", "-c", CHILD, module, str(steps), *(f"{k}={v}" for k, v in headers.items())],
        input=event.body,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": "."},
    )
    survived = child.returncode == 0
    assert survived or child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert not survived or b" 0\n" in child.stdout  # it survived because no step was left, and for no other reason
    return survived


async def test_killed_at_any_step_the_payment_takes_effect_once(stack: Stack) -> None:
    deaths, survived = 0, False
    while not survived:
        checkout = await stack.checkout()
        await checkout.pay()
        event = push(body(checkout))
        survived = await handled("functions.events.on_phonepe_event.main", event, deaths)
        for _ in range(2):  # once because it was not acknowledged, once more because that happens too
            assert (await invoke(handler, event)).status == 204
        state = stack.state(checkout)
        assert (state["status"], state["plan"]) == ("completed", "growth"), f"killed at step {deaths}"
        assert (state["events"], state["unpublished"]) == (2, 0), f"killed at step {deaths}"
        deaths += not survived
    assert deaths >= 16
    once = {message.attributes["ce-id"] for message in await stack.published("payment-completed")}
    assert len(once) == deaths + 1


async def test_killed_at_any_step_the_webhook_loses_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEPE_WEBHOOK_MODE", "hmac")
    monkeypatch.setenv("PHONEPE_WEBHOOK_SECRETS", "k1:old")
    event = HttpEvent(body=BODY, headers=signed())
    deaths = 0
    while not await handled("functions.webhooks.phonepe.main", event, deaths):
        assert (await invoke(webhook, event)).status == 200  # PhonePe was not answered, so it comes again
        assert {message.attributes["ce-id"] for message in await stack.published("webhook-phonepe")} == {
            "phonepe/checkout.order.completed/RF-1/COMPLETED"
        }
        deaths += 1
    assert deaths == 2  # before the publish, and between it and the answer
