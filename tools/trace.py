"""One trace as a tree: what a webhook caused, through Pub/Sub, handlers, tasks and jobs, to the mail.

    python -m tools.trace                 the newest trace that began with a webhook
    python -m tools.trace 0af7651916cd…   that one
    python -m tools.trace --list          all of them, newest last

It reads log lines in Cloud Logging's JSON: those of the local cloud, or what ``gcloud logging read --format=json``
wrote, as it is. Spans are lines too, so nothing else is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACE, SPAN = "logging.googleapis.com/trace", "logging.googleapis.com/spanId"


@dataclass(slots=True)
class Node:
    """One span.

    Attributes:
        id: 16 hexadecimal digits.
        name: what was done.
        parent: the span above; empty for none.
        began: when, in seconds since 1970.
        seconds: how long it took.
        told: how it ended, where that is worth saying.
        below: the spans that it caused, oldest first.
    """

    id: str
    name: str
    parent: str
    began: float
    seconds: float
    told: str
    below: list[Node] = field(default_factory=list)


def lines_of(root: Path) -> Path:
    """Where the local cloud in ``root`` keeps its functions' log lines."""
    return root / "logs" / "lines.jsonl"


def read(path: Path) -> dict[str, list[Node]]:
    """The spans of each trace, in the order in which they ended.

    Raises:
        OSError: there is no such file.
    """
    traces: dict[str, list[Node]] = {}
    for said in _entries(path.read_text(encoding="utf-8")):
        span = said.get("span")
        if isinstance(span, dict):
            traces.setdefault(said[TRACE].rpartition("/")[2], []).append(_node(said, span))
    return traces


def roots(spans: Iterable[Node]) -> list[Node]:
    """The spans that nothing known caused, each with all that it caused below it."""
    known = {span.id: replace(span, below=[]) for span in sorted(spans, key=lambda span: span.began)}
    top: list[Node] = []
    for span in known.values():
        (known[span.parent].below if span.parent in known else top).append(span)
    return top


def draw(trace: str, spans: Iterable[Node]) -> Tree:
    """The trace as a tree."""
    tree = Tree(f"trace {trace}")
    pending = [(tree, root) for root in roots(spans)]
    while pending:
        above, node = pending.pop(0)
        failed = f"  [red]{node.told}[/red]" if node.told else ""
        branch = above.add(f"{node.name}  [dim]{node.seconds * 1000:.1f} ms[/dim]{failed}")
        pending += [(branch, below) for below in node.below]
    return tree


def newest(traces: dict[str, list[Node]]) -> str | None:
    """The trace that a webhook began last."""
    begun = {
        trace: max(span.began for span in spans)
        for trace, spans in traces.items()
        if any(span.name.startswith("webhook-") and not span.told for span in spans)
    }
    return max(begun, key=lambda trace: begun[trace], default=None)


def _entries(text: str) -> Iterable[dict[str, Any]]:
    """What was logged: one object a line, or gcloud's list of entries, whose fields Cloud Logging has moved."""
    if text.startswith("["):
        for entry in json.loads(text):
            moved = {TRACE: entry.get("trace", ""), SPAN: entry.get("spanId", ""), "time": entry.get("timestamp", "")}
            yield {**entry.get("jsonPayload", {}), **moved}
        return
    for line in text.splitlines():
        if line.startswith("{"):  # servers write lines of their own
            yield json.loads(line)


def _node(said: dict[str, Any], span: dict[str, Any]) -> Node:
    told = str(span.get("failed", "")) or ("" if said.get("outcome", "done") == "done" else said["outcome"])
    seconds = float(span["seconds"])
    began = datetime.fromisoformat(said["time"]).timestamp() - seconds
    return Node(said[SPAN], span["name"], span["parent"], began, seconds, told)


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where there is no such trace."""
    parser = argparse.ArgumentParser(prog="python -m tools.trace", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trace", nargs="?", help="its id, or how it begins (default: the newest of a webhook)")
    parser.add_argument("--list", action="store_true", help="list the traces, newest last")
    parser.add_argument("--root", type=Path, default=Path(".local"), help="the local cloud's folder (default: .local)")
    parser.add_argument("--lines", type=Path, help="a file of JSON log lines instead")
    options = parser.parse_args(arguments)
    path = options.lines or lines_of(options.root)
    try:
        traces = read(path)
    except OSError:
        print(f"{path} cannot be read: start the local cloud with `make run`, or name a file", file=sys.stderr)
        return 1
    console = Console()
    if options.list:
        for trace, spans in traces.items():
            console.print(f"{trace}  {len(spans):3} spans  {', '.join(root.name for root in roots(spans))}")
        return 0
    if options.trace:
        found = next((trace for trace in traces if trace.startswith(options.trace)), None)
    else:
        found = newest(traces)
    if found is None:
        print(f"no such trace in {path}; --list shows all", file=sys.stderr)
        return 1
    console.print(draw(found, traces[found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
