"""A payment, played from the customer's click to the active subscription, on this machine.

python -m tools.demo          plays it, checks every step, stops everything; the exit code is the result
python -m tools.demo --stay   the same, then stays up with hot reload until Ctrl-C
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx
from rich.console import Console

from common.errors import RaptorFlowError
from common.events.outbox import live_channel
from common.lifecycle import aclose_all
from common.redis.pubsub import PubSubService
from tools.local.cloud import LocalCloud
from tools.sample_data import Checkout, create_customer, payment_state, start_checkout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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

    async def repeat(self) -> str:
        """Let PhonePe send the same webhook ten times at once."""
        before = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        answers = await asyncio.gather(*(self.order.send_webhook(f"{self.url}/{FUNCTION}") for _ in range(10)))
        self._expect(set(answers) == {200}, f"answered {sorted(set(answers))}")
        await asyncio.sleep(1)  # nothing is to happen, and nothing announces that
        after = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        self._expect(before == after, "the repeated webhook changed something")
        return "ten times 200, still one activation"

    # --- their tools

    async def _completed(self) -> dict[str, Any] | None:
        state = await asyncio.to_thread(payment_state, self.cloud.admin_database_url(), self.order)
        return state if state["status"] == "completed" and state["plan"] == "growth" else None

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


def start_gateway(
    root: Path, port: int, log: IO[bytes], *, reload: bool = False, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start the gateway, of this folder or another, as a child that ends when we do, however we do."""
    command = [
        sys.executable,
        "-m",
        "tools.gateway",
        "--root",
        str(root.resolve()),
        "--port",
        str(port),
        "--with-parent",
    ]
    return subprocess.Popen(
        [*command, *(["--reload"] if reload else [])], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL if that is not enough."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    if process.stdin:
        process.stdin.close()


def free_port(preferred: int) -> int:
    """``preferred`` if nobody listens there, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise StepFailed("no port is free")


async def play(demo: Demo, console: Console) -> None:
    """Run the steps, printing each."""
    steps = [
        demo.start_cloud,
        demo.start_gateway,
        demo.sign_up,
        demo.listen,
        demo.forge,
        demo.pay,
        demo.activate,
        demo.hear,
        demo.repeat,
    ]
    for number, step in enumerate(steps, 1):
        title = (step.__doc__ or "").strip().rstrip(".")
        started = time.monotonic()
        with console.status(title):
            try:
                told = await step()
            except Exception as error:
                console.print(f"[red]✗[/red] {number}. {title}", highlight=False, soft_wrap=True)
                raise StepFailed(f"step {number} ({title}): {error}") from error
        seconds = f"[dim]{time.monotonic() - started:.1f} s[/dim]"
        console.print(f"[green]✓[/green] {number}. {title} {seconds}\n     {told}", highlight=False, soft_wrap=True)


def where_to_look(demo: Demo, console: Console) -> None:
    """Tell a newcomer what to open next."""
    console.print("\n[bold]Where to look[/bold]", highlight=False)
    for what, where in {
        "functions": demo.url,
        "their log lines": demo.log,
        "the database": f"psql '{demo.cloud.admin_database_url()}'",
        "all components": f"{Path(sys.executable).name} -m tools.local --root {demo.cloud.root} status",
        "PhonePe's stand-in": demo.cloud.environment()["PHONEPE_BASE_URL"] + "/_local/requests",
    }.items():
        console.print(f"  {what:<20} {where}", highlight=False, soft_wrap=True)


async def run(options: argparse.Namespace, console: Console) -> int:
    """Play, and stay if asked to."""
    demo = Demo(LocalCloud(options.root.resolve()), free_port(options.port), reload=options.stay)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        playing = asyncio.create_task(play(demo, console))
        interrupted = asyncio.create_task(stopping.wait())
        await asyncio.wait({playing, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return 130
        playing.result()
        where_to_look(demo, console)
        if options.stay:
            console.print("\nEdit functions/ or common/ and it reloads. Ctrl-C stops everything.", highlight=False)
            await interrupted
        interrupted.cancel()
    except StepFailed as error:
        console.print(f"[red]failed:[/red] {error}", highlight=False, soft_wrap=True)
        return 1
    finally:
        try:
            await demo.close(keep_cloud=options.keep)
        except (OSError, RaptorFlowError) as error:  # said, but not in place of what failed before
            console.print(f"[red]not everything could be stopped:[/red] {error}", highlight=False, soft_wrap=True)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo", description=(__doc__ or "").partition("\n")[0], epilog="make run, make demo"
    )
    parser.add_argument("--stay", action="store_true", help="stay up afterwards, with hot reload, until Ctrl-C")
    parser.add_argument("--keep", action="store_true", help="leave the local cloud up at the end")
    parser.add_argument("--root", type=Path, default=Path(".local"), help="the local cloud's folder (default: .local)")
    parser.add_argument("--port", type=int, default=8080, help="the gateway's, if it is free (default: 8080)")
    return asyncio.run(run(parser.parse_args(arguments), Console()))


if __name__ == "__main__":
    sys.exit(main())
