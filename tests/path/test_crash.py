"""The process dies between any two steps of the payment's transaction, publishing and acknowledgement.

A child handles the delivery and is killed with SIGKILL before or after its n-th call to anything outside of itself, for
every n until it survives. Then the delivery comes again, as Pub/Sub would send it, and everything must be there once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from common.functions.testing import invoke
from functions.events.on_phonepe_event.main import main
from tests.functions.events.test_on_phonepe_event import body, push

if TYPE_CHECKING:
    from tests.stack import Stack

CHILD = """
import asyncio, os, signal, sys
import httpx, psycopg, redis.asyncio
from google.pubsub_v1 import PublisherAsyncClient
from common.functions.testing import invoke
from functions.events.on_phonepe_event.main import main
from tests.functions.events.test_on_phonepe_event import push

left = int(sys.argv[1])

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
result = asyncio.run(invoke(main, push(sys.stdin.buffer.read())))
print("survived", result.status, left)
"""


async def test_killed_at_any_step_the_payment_takes_effect_once(stack: Stack) -> None:
    deaths = 0
    while True:
        checkout = await stack.checkout()
        await checkout.pay()
        data = body(checkout)
        child = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-W", "ignore", "-c", CHILD, str(deaths)],
            input=data,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": "."},
        )
        survived = child.returncode == 0
        assert survived or child.returncode == -signal.SIGKILL, child.stderr.decode()
        for _ in range(2):  # once because it was not acknowledged, once more because that happens too
            assert (await invoke(main, push(data))).status == 204
        state = stack.state(checkout)
        assert (state["status"], state["plan"]) == ("completed", "growth"), f"killed at step {deaths}"
        assert (state["events"], state["unpublished"]) == (2, 0), f"killed at step {deaths}"
        if survived:
            assert b"survived 204 0" in child.stdout
            break
        deaths += 1
    assert deaths >= 16
    completed = await stack.published("payment-completed")
    once = {message.attributes["ce-id"] for message in completed}
    assert len(once) == deaths + 1
