"""Letting a process handle a delivery and die at a chosen step.

One process imports the function; for each delivery it forks a child, which is killed with SIGKILL before its n-th call
to anything outside of itself, or after it. Forking spares each child the imports, which take longer than the work.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.functions.testing import HttpEvent

PARENT = """
import asyncio, base64, functools, importlib, json, os, signal, sys
import httpx, psycopg, requests
from google.cloud.tasks_v2 import CloudTasksAsyncClient
from common.functions.testing import HttpEvent, invoke
from common.infrastructure.pubsub_publisher import PubSubPublisher
from common.redis.batching import Batcher

main = importlib.import_module(sys.argv[1]).main
left = 0
from httpx._transports import default
default.create_ssl_context = functools.cache(default.create_ssl_context)
# reads certificates for 50 ms, which each child would repeat
default.create_ssl_context(verify=True, cert=None, trust_env=True)

def step():
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

def deadly(owner, name, awaited=True):
    original = getattr(owner, name)
    async def wrapped(*args, **kwargs):
        step()
        result = await original(*args, **kwargs)
        step()
        return result
    def wrapped_call(*args, **kwargs):
        step()
        result = original(*args, **kwargs)
        step()
        return result
    setattr(owner, name, wrapped if awaited else wrapped_call)

deadly(httpx.AsyncClient, "request")
deadly(psycopg.AsyncConnection, "execute")
deadly(psycopg.AsyncConnection, "commit")
deadly(PubSubPublisher, "_publish")
deadly(CloudTasksAsyncClient, "create_task")
deadly(Batcher, "submit")
deadly(requests.Session, "send", awaited=False)  # Cloud Storage's client

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.environ.clear()
        os.environ.update(asked["environment"])
        left = asked["steps"]
        event = HttpEvent(body=base64.b64decode(asked["body"]), headers=asked["headers"])
        os.dup2(2, 1)  # log lines are not answers
        result = asyncio.run(invoke(main, event))
        os._exit(0 if left == 0 and result.status < 300 else 70)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Parent:
    """The process that forks, of one function."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PARENT, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ".", "GRPC_ENABLE_FORK_SUPPORT": "0"},
        )
        self._asking = threading.Lock()
        atexit.register(self.close)

    def ask(self, event: HttpEvent, steps: int) -> int:
        """The exit code of a child that handled ``event`` and died at step ``steps``."""
        asked = {
            "steps": steps,
            "headers": dict(event.headers),
            "body": base64.b64encode(event.body).decode(),
            "environment": dict(os.environ),
        }
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._asking:
            stdin.write(json.dumps(asked).encode() + b"\n")
            stdin.flush()
            return int(stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@functools.cache
def _parent(module: str) -> Parent:
    return Parent(module)


async def handled(module: str, event: HttpEvent, steps: int) -> bool:
    """Let a child handle ``event`` and die at step ``steps``; True if it had exactly as many and succeeded."""
    code = await asyncio.to_thread(lambda: _parent(module).ask(event, steps))
    assert code in {0, -signal.SIGKILL}, f"neither killed nor done: {code}"
    return code == 0
