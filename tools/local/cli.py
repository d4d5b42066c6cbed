"""The local cloud on the command line: ``python -m tools.local up|down|status|reset``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.table import Table

from common.errors import RaptorFlowError
from tools.local.cloud import LocalCloud
from tools.local.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tools.local.components import ComponentStatus

FAILED, DOWN, INTERRUPTED = 1, 3, 130
_EXIT_CODES = """\
exit codes: 0 done, or everything healthy; 1 failed, or only partly up; 2 wrong usage; 3 down (status only)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = _parser().parse_args(arguments)
    cloud = LocalCloud(options.root)
    console, errors = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        if options.command == "status":
            return _status(cloud.status(), console, as_json=options.json)
        _run(getattr(cloud, options.command), console)
        if options.command != "down":
            console.print(_table(cloud.status()))
            console.print(f"data and logs: {cloud.root}   stop: python -m tools.local down", style="dim")
    except (RaptorFlowError, psycopg.Error, OSError) as error:
        errors.print("[red]failed:[/red]", end=" ")
        errors.print(str(error), markup=False)
        return FAILED
    except KeyboardInterrupt:
        errors.print("interrupted: what was being started is stopped again")
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="its folder")
    parser = argparse.ArgumentParser(
        prog="python -m tools.local",
        description=f"The cloud on this machine: Valkey, Postgres with pgvector, {', '.join(SERVICES)}.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--root", type=Path, default=Path(".local"), metavar="DIR", help="its folder (default: .local)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|status|reset")
    for name, does in {
        "up": "start what is not running, and migrate the database",
        "down": "stop everything; the data stays",
        "status": "show every component",
        "reset": "stop everything, delete the data, start again",
    }.items():
        command = commands.add_parser(
            name, parents=[common], help=does, description=does.capitalize(), epilog=_EXIT_CODES
        )
        if name == "status":
            command.add_argument("--json", action="store_true", help="for machines")
    return parser


def _run(command: Callable[[Callable[[str], None]], None], console: Console) -> None:
    started = time.monotonic()
    with console.status("at work") as spinner:

        def progress(message: str) -> None:
            spinner.update(message)
            console.print(f"  {message}", markup=False)

        command(progress)
    console.print(f"[green]done[/green] in {time.monotonic() - started:.1f} s")


def _status(components: Sequence[ComponentStatus], console: Console, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([{**asdict(component), "log": str(component.log)} for component in components], indent=2))
    else:
        console.print(_table(components))
    if all(component.healthy for component in components):
        return 0
    return FAILED if any(component.pid for component in components) else DOWN


def _table(components: Sequence[ComponentStatus]) -> Table:
    table = Table("component", "address", "pid", "health", "log", box=None, header_style="bold")
    for component in components:
        health = "[green]healthy[/green]" if component.healthy else "[red]no answer[/red]" if component.pid else "down"
        table.add_row(
            component.name,
            f"127.0.0.1:{component.port}" if component.port else "-",
            str(component.pid or "-"),
            health,
            str(component.log),
        )
    return table
