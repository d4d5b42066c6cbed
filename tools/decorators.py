"""The arguments of our decorators: which there are, and reading them as literals."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from tools.problem import Problem
from tools.source import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.imports import Graph
    from tools.source import Source

RESOURCES = ("publishes", "enqueues", "buckets", "datasets", "secrets")
_COMMON: dict[str, type] = {
    "timeout": int,
    **dict.fromkeys(RESOURCES, list),
    "memory": str,
    "cpu": str,
    "concurrency": int,
    "min_instances": int,
    "max_instances": int,
}
PARAMETERS: dict[str, dict[str, type]] = {
    "webhook": _COMMON,
    "subscribe": {"topic": str, "max_age": int, "ordered": bool, "filter": str, **_COMMON},
    "job": {"name": str, "queue": str, "retries": int, "schedule": str, "per": str, **_COMMON},
    "endpoint": {"public": bool, **_COMMON},
}
"""Decorator to its arguments and their types."""
FIRST = {"subscribe": "topic", "job": "name"}
"""The argument that has to be given, and may be by position."""
OPTIONAL = frozenset({"max_age", "filter", "schedule", "per"})
"""What may be None, which is the same as not given."""
MAY_BE_ZERO = frozenset({"min_instances", "retries"})
_TYPES = {
    str: "a text",
    int: "a positive whole number",
    bool: "True or False",
    list: "a list of texts, each of them once",
}


def decorator_name(graph: Graph, source: Source, node: ast.expr) -> str | None:
    """Which of our decorators ``node`` is; None if it is none of them."""
    found = graph.resolve(source, dotted(node.func if isinstance(node, ast.Call) else node))
    if found is None or not found[0].startswith(("common.functions", "common.jobs")):
        return None
    return found[1] if found[1] in PARAMETERS else None


def read_arguments(path: str, decorator: str, node: ast.expr, problems: list[Problem]) -> dict[str, Any]:
    """The values given to a decorator; what is no literal, unknown or of the wrong type becomes a problem.

    Example:
        >>> read_arguments("main.py", "webhook", ast.parse("webhook(timeout=30)", mode="eval").body, [])
        {'timeout': 30}
    """
    given = list(_given(decorator, node)) if isinstance(node, ast.Call) else []
    values: dict[str, Any] = {}
    for name, expression in given:
        expected = PARAMETERS[decorator].get(name)
        if expected is None:
            accepted = ", ".join(PARAMETERS[decorator])
            text = f"@{decorator} takes no argument {name!r}; it takes {accepted}."
            problems.append(Problem(path, expression.lineno, text))
            continue
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError):
            text = f"{name} is no literal; write the value here: it is read without running the code."
            problems.append(Problem(path, expression.lineno, text))
            continue
        if not _fits(name, value, expected):
            text = f"{name} must be {_TYPES[expected]}, not {value!r}."
            problems.append(Problem(path, expression.lineno, text))
        elif value is not None:
            values[name] = value
    first = FIRST.get(decorator)
    if not isinstance(node, ast.Call):
        problems.append(Problem(path, node.lineno, f"@{decorator} is a call; write @{decorator}()."))
    elif first and first not in dict(given):
        problems.append(Problem(path, node.lineno, f"@{decorator} needs a {first}; write it as the first argument."))
    return values


def _given(decorator: str, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    for index, value in enumerate(call.args):
        yield (FIRST.get(decorator, "*") if index == 0 and not isinstance(value, ast.Starred) else "*", value)
    for keyword in call.keywords:
        yield (keyword.arg or "**", keyword.value)


def _fits(name: str, value: object, expected: type) -> bool:
    if value is None:
        return name in OPTIONAL
    if type(value) is not expected:  # True is no number
        return False
    if isinstance(value, list):
        return all(isinstance(item, str) and item for item in value) and len(set(value)) == len(value)
    if isinstance(value, int) and expected is int:
        return value > 0 or (value == 0 and name in MAY_BE_ZERO)
    return value != ""
