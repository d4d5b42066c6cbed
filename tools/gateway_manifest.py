"""The manifest that a gateway serves: the last one that could be served, whatever becomes of the file meanwhile.

The gateway reads a copy of its own. While it reloads, a manifest that is edited replaces the copy if it can be served,
which starts the gateway again; else the copy stays, and so does what is served.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import PythonFilter, watch

from tools.local.pubsub.filters import FilterError, compile_filter
from tools.manifest import build, render
from tools.manifest_model import load
from tools.schedule import complaint

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from tools.manifest_model import Function, Manifest

LOOK_MILLISECONDS = 300
"""Between looks at the file: it is replaced as often as written into, which no watch on a file survives."""
_UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError)


class BrokenManifestError(Exception):
    """A manifest that cannot be served; the message says why, and what to do."""


def check(manifest: Path) -> bytes:
    """The content of a manifest that can be served.

    Raises:
        BrokenManifestError: it cannot.
    """
    told = f"{manifest.name} is broken, run `make manifest`"
    try:
        content = manifest.read_bytes()
        problems = list(_problems(load(manifest)))
    except _UNREADABLE as error:
        raise BrokenManifestError(f"{told}: {type(error).__name__}: {error}") from error
    if problems:
        raise BrokenManifestError(f"{told}: {'; '.join(problems)}")
    return content


def keep(manifest: Path, kept: Path) -> None:
    """Make ``kept`` a copy of ``manifest``; nothing is written where it is one already.

    Raises:
        BrokenManifestError: it cannot be served; ``kept`` is as it was.
    """
    content = check(manifest)
    if not kept.is_file() or kept.read_bytes() != content:
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(".new")
        new.write_bytes(content)
        new.replace(kept)


def follow(manifest: Path, kept: Path, stop: threading.Event) -> None:
    """`keep`, whenever the manifest changes, until ``stop``; tell on standard error where it is broken or stale.

    It is stale when the code says otherwise, so that is looked at when ``functions`` or ``common`` change, too.
    """
    looked, told = 0, ""
    changes = watch(
        *("functions", "common"),
        watch_filter=PythonFilter(),
        rust_timeout=LOOK_MILLISECONDS,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
    )
    for changed in changes:
        written = _written(manifest)
        if changed or written != looked:
            looked = written
            now = _told(manifest, kept)
            if now not in {"", told}:
                print(now, file=sys.stderr, flush=True)
            told = now


def _written(manifest: Path) -> int:
    """When it was, and -1 while it is not there."""
    try:
        return manifest.stat().st_mtime_ns
    except OSError:
        return -1


def _told(manifest: Path, kept: Path) -> str:
    try:
        keep(manifest, kept)
        document, problems = build(Path())
        stale = render(document) != manifest.read_text(encoding="utf-8")
    except BrokenManifestError as error:
        return f"{error}; the last good one is served"
    except _UNREADABLE as error:
        return f"{manifest.name} cannot be compared with the code: {error}"
    if problems:
        return "\n".join(["the code has problems that stop `make manifest`:", *map(str, problems)])
    if stale:
        return f"{manifest.name} is stale, the code says otherwise: run `make manifest`"
    return ""


def _problems(manifest: Manifest) -> Iterator[str]:
    for name, function in manifest.functions.items():
        if said := _problem(function, manifest):
            yield f"{name}: {said}"


def _problem(function: Function, manifest: Manifest) -> str | None:
    trigger = function.trigger
    if not Path(function.source, "main.py").is_file():
        return f"{function.source}/main.py is not there"
    if trigger.kind == "pubsub" and trigger.topic not in manifest.topics:
        return f"there is no topic {trigger.topic!r}"
    try:
        compile_filter(trigger.filter or "")
    except FilterError as error:
        return str(error)
    return complaint(trigger.schedule) if trigger.schedule else None
