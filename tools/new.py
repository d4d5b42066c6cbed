"""A new function: one folder that already passes lint, types, tests, manifest and packaging.

    python -m tools.new webhook stripe
    python -m tools.new event on_move_started --topic move-started
    python -m tools.new job tidy_up
    python -m tools.new endpoint status

It writes ``main.py`` and ``sample.json`` below ``functions/``, a test below ``tests/functions/``, and brings
``functions.json`` up to date. Nothing else has to be edited; to take it back, remove the folder and the test and run
``make manifest``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.declarations import KINDS, MAX_NAME
from tools.imports import Graph
from tools.manifest import build, render
from tools.samples import endpoint_sample, event_sample, job_sample, webhook_sample
from tools.uses import Uses

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = Path(__file__).parent / "templates"
FOLDERS = {"webhook": "webhooks", "event": "events", "job": "jobs", "endpoint": "api"}
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Refused(Exception):  # noqa: N818 - said to a person, as a sentence
    """The function cannot be made; the message says what to change."""


def create(kind: str, name: str, *, root: Path, topic: str | None = None) -> list[Path]:
    """Write the function; returns the files, its folder's first.

    Args:
        kind: webhook, event, job or endpoint.
        name: in snake_case; it names the folder, the function and, with dashes, the deployed service.
        root: of the repository.
        topic: of an event; the name's own (``on_move_started``: ``move-started``) if it is left out.

    Raises:
        Refused: the name or the topic is not usable, or the repository has problems already.
    """
    _check_name(kind, name, root)
    document = _manifest(root)
    values = {"name": name, "dashed": name.replace("_", "-"), "title": name.replace("_", " ").capitalize()}
    sample = _sample(kind, values, document, topic, root)
    folder = root / "functions" / FOLDERS[kind] / name
    test = root / "tests" / "functions" / FOLDERS[kind] / f"test_{name}.py"
    files = {
        folder / "main.py": _filled(kind, "main", values),
        folder / "sample.json": json.dumps(sample, indent=2) + "\n",
        test: _filled(kind, "test", values),
    }
    if not (test.parent / "__init__.py").exists():
        files[test.parent / "__init__.py"] = ""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    try:
        _tidy([folder / "main.py", test])
        document = _manifest(root)
    except BaseException:
        shutil.rmtree(folder)
        for path in files.keys() - {folder / "main.py", folder / "sample.json"}:
            path.unlink()
        raise
    (root / "functions.json").write_text(render(document), encoding="utf-8", newline="\n")
    return list(files)


def _check_name(kind: str, name: str, root: Path) -> None:
    prefix = KINDS[FOLDERS[kind]][0]
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is not snake_case: lower-case words joined with _")
    if len(f"{prefix}-{name}") > MAX_NAME:
        raise Refused(f"{prefix}-{name} has more than {MAX_NAME} characters")
    if (root / "functions" / FOLDERS[kind] / name).exists():
        raise Refused(f"functions/{FOLDERS[kind]}/{name} exists")


def _manifest(root: Path) -> dict[str, Any]:
    document, problems = build(root)
    if problems:
        raise Refused("\n".join(["the manifest cannot be made:", *map(str, problems)]))
    return document


def _sample(
    kind: str, values: dict[str, str], document: Mapping[str, Any], topic: str | None, root: Path
) -> dict[str, Any]:
    """The event that the function receives; ``values`` gets what else its templates name."""
    match kind:
        case "webhook":
            values["variable"] = f"{values['name']}_webhook_secrets".upper()
            return webhook_sample(values["dashed"], values["variable"])
        case "event":
            values["topic"] = _topic(values["name"], document["topics"], topic)
            event = _event(values["topic"], root)
            values["event"] = event or "Delivery"
            values["imports"] = (
                f"from common.events.types import {event}\nfrom common.functions import serve, subscribe"
                if event
                else "from common.functions import Delivery, serve, subscribe"
            )
            return event_sample(values["topic"], event)
        case "job":
            return job_sample(values["name"])
        case _:
            return endpoint_sample()


def _topic(name: str, topics: Mapping[str, Any], wanted: str | None) -> str:
    """The topic to subscribe to: one that is published, for nothing would ever come from another."""
    topic = wanted or name.removeprefix("on_").replace("_", "-")
    if topic in topics:
        return topic
    if wanted:
        raise Refused(f"no function publishes to {wanted}; there are {', '.join(sorted(topics))}")
    known = sorted(other for other, said in topics.items() if said["types"])
    if not known:
        raise Refused("no function publishes an event yet; name another topic with --topic")
    print(f"nobody publishes to {topic} yet: it subscribes to {known[0]}; change the decorator's topic when it exists")
    return known[0]


def _event(topic: str, root: Path) -> str | None:
    """The class of the topic's events, if it has one."""
    found = [name for name, event in Uses(Graph(root)).events.items() if event.topic == topic]
    return found[0] if len(found) == 1 else None


def _filled(kind: str, part: str, values: Mapping[str, str]) -> str:
    return string.Template((TEMPLATES / f"{kind}_{part}.txt").read_text(encoding="utf-8")).substitute(values)


def _tidy(paths: list[Path]) -> None:
    """Where a line breaks and how imports are sorted depends on the name."""
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *paths], check=True)


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 when the function was written."""
    parser = argparse.ArgumentParser(prog="python -m tools.new", description="Write a new function, ready to deploy.")
    parser.add_argument("kind", choices=sorted(FOLDERS))
    parser.add_argument("name", metavar="NAME", help="in snake_case, such as on_move_started")
    parser.add_argument("--topic", help="event: what to subscribe to (default: what its name says)")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: the current folder)")
    options = parser.parse_args(arguments)
    if options.topic and options.kind != "event":
        parser.error("--topic is for an event")
    try:
        files = create(options.kind, options.name, root=options.root, topic=options.topic)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    for path in files:
        print(f"wrote {path}")
    print("functions.json is current; next: edit main.py, then `make test`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
