"""A payment, played from the customer's click to the invoice in her mail, on this machine.

python -m tools.demo          plays it, checks every step, stops everything; the exit code is the result
python -m tools.demo --stay   the same, then stays up with hot reload until Ctrl-C
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from common.errors import RaptorFlowError
from tools.demo.steps import Demo, StepFailed
from tools.gateway_process import free_port
from tools.local.cloud import LocalCloud


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
        demo.invoice,
        demo.read,
        demo.mail,
        demo.follow,
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
        "the invoice": demo.pdf_url,
        "the mail": demo.cloud.environment()["RESEND_BASE_URL"],
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
