"""Which topics, queues, buckets, datasets and secrets the code names: literals in calls, and event classes.

A name counts as a literal when it is written in the call, or is a module-level constant, imported or not. In
``functions/`` a name that cannot be read so is an error; ``common/`` may be generic (the outbox publishes whatever
topic its row holds), and what it is given is checked where it is given.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.problem import Problem
from tools.source import dotted, names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tools.imports import Graph
    from tools.source import Call, Reference, Source

EVENT_TYPES = "common.events.types"
_CALLS = {
    "publish": ("publishes", "topic"),
    "enqueue_job": ("enqueues", "job"),
    "upload_file": ("buckets", "bucket"),
    "upload_stream": ("buckets", "bucket"),
    "download_file": ("buckets", "bucket"),
    "download_stream": ("buckets", "bucket"),
    "delete_file": ("buckets", "bucket"),
    "generate_signed_url": ("buckets", "bucket"),
    "insert_rows": ("datasets", "table"),
    "create_table_if_not_exists": ("datasets", "table"),
    "secret_values": ("secrets", "name"),
    "get_secret": ("secrets", "secret_id"),
}
"""Function or method to the resource that its first argument names, and that argument's keyword."""
_LIVE_CHANNELS = "common.redis"
_OTHERS = ("functions.", "common.events.", "common.functions.")
_QUERY = "execute_query"
MAX_CONSTANTS = 8
"""Constants that are each other, before they count as unreadable."""
ANY = "*"
"""Some resource of the kind, in a way that names none: a query reads datasets that only its text knows."""


@dataclass(frozen=True, order=True, slots=True)
class Use:
    """``resource`` is publishes, enqueues, buckets, datasets or secrets."""

    resource: str
    name: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event class: the type and the topic that it is published with."""

    type: str
    topic: str


class Uses:
    """The uses of every module of a graph, each read once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._read: dict[str, tuple[list[Use], list[Problem]]] = {}
        self.events = _events(graph.source(EVENT_TYPES))

    def of(self, module: str) -> tuple[list[Use], list[Problem]]:
        """What one module names, and where it cannot be told what it names."""
        source = self._graph.source(module)
        if source is not None and module not in self._read:
            self._read[module] = ([], [])
            for call in source.calls:
                self._read_call(source, call, *self._read[module])
        return self._read.get(module, ([], []))

    def environment(self, module: str, secrets: Iterable[str]) -> Iterator[Use]:
        """Those of ``secrets`` that a module reads from their environment variables."""
        source = self._graph.source(module)
        for secret in secrets:
            if source is not None and variable_of(secret) in source.strings:
                yield Use("secrets", secret, source.path, source.strings[variable_of(secret)])

    def _read_call(self, source: Source, call: Call, uses: list[Use], problems: list[Problem]) -> None:
        node = call.node
        target = self._graph.resolve(source, dotted(node.func))
        if target is not None and target[0] == EVENT_TYPES and target[1] in self.events:
            if source.name != EVENT_TYPES:
                uses.append(Use("publishes", self.events[target[1]].topic, source.path, node.lineno))
            return
        name = _called(node.func)
        if name == _QUERY:
            uses.append(Use("datasets", ANY, source.path, node.lineno))
        if name not in _CALLS or not self._is_ours(source, node, name):
            return
        resource, keyword = _CALLS[name]
        argument = _argument(node, keyword)
        text = self._literal(source, argument, call) if argument is not None else None
        if text is not None and resource == "datasets":
            text = text.split(".")[-2] if "." in text else None
        if text is not None:
            uses.append(Use(resource, text, source.path, node.lineno))
        elif source.name.startswith("functions.") and not _takes_another(target):
            what = "dataset.table" if resource == "datasets" else keyword
            problems.append(
                Problem(
                    source.path,
                    node.lineno,
                    f"the {what} of {name}(…) cannot be read; write a literal or a module-level constant.",
                )
            )

    def _is_ours(self, source: Source, node: ast.Call, name: str) -> bool:
        """Not another thing of the same name: a Redis channel is no topic."""
        return name != "publish" or not any(
            self._is_live_channel(source, item) for item in _receivers(source, node.func)
        )

    def _is_live_channel(self, source: Source, name: str) -> bool:
        module, attribute = source.bindings.get(name) or source.exports.get(name) or ("", "")
        return self._graph.lookup(module, attribute)[0].startswith(_LIVE_CHANNELS)

    def _literal(self, source: Source, node: ast.expr, call: Call | None, depth: int = 0) -> str | None:
        """The text that ``node`` is; None where that takes running the code."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.FormattedValue):
            return self._literal(source, node.value, call, depth)
        if isinstance(node, ast.JoinedStr):
            parts = [self._literal(source, part, call, depth) for part in node.values]
            return None if None in parts else "".join(part for part in parts if part)
        chain = dotted(node)
        found = self._graph.resolve(source, chain) if chain and not (call and call.is_local(chain[0])) else None
        defined = self._graph.source(found[0]) if found else None
        if found is None or defined is None or found[1] not in defined.constants or depth > MAX_CONSTANTS:
            return None
        return self._literal(defined, defined.constants[found[1]], None, depth + 1)


def variable_of(secret: str) -> str:
    """The environment variable that a secret is mounted as.

    Example:
        >>> variable_of("database-url")
        'DATABASE_URL'
    """
    return secret.upper().replace("-", "_")


def _events(source: Source | None) -> dict[str, Event]:
    if source is None:
        return {}
    texts = {
        name: value.value
        for name, value in source.constants.items()
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }
    classes = [node.name for node in source.tree.body if isinstance(node, ast.ClassDef)]
    return {
        name: Event(texts[f"{name}.TYPE"], texts[f"{name}.TOPIC"])
        for name in classes
        if f"{name}.TYPE" in texts and f"{name}.TOPIC" in texts
    }


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _takes_another(target: Reference | None) -> bool:
    """Whether the callee is a function of ours that only shares the name, and takes a delivery or rows."""
    return target is not None and "." not in target[1] and target[0].startswith(_OTHERS)


def _argument(node: ast.Call, keyword: str) -> ast.expr | None:
    if node.args:
        return node.args[0]
    return next((item.value for item in node.keywords if item.arg == keyword), None)


def _receivers(source: Source, function: ast.expr) -> set[str]:
    """The names in what a method is called on, and in what that was made from."""
    if not isinstance(function, ast.Attribute):
        return set()
    names = names_in(function.value)
    chain = dotted(function.value)
    return names.union(*(source.typed.get(name, set()) for name in (*names, *chain[-1:])))
