"""What a function's folder declares.

``functions/<webhooks|events|jobs|api>/<name>/main.py`` holds one function decorated with ``@webhook``, ``@subscribe``,
``@job`` or ``@endpoint``, documented, and ends with ``main = serve(the_function)``. Beside it lies ``sample.json``, the
event it receives.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tools.decorators import decorator_name, read_arguments
from tools.problem import Problem
from tools.source import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.imports import Graph
    from tools.source import Source

KINDS = {
    "api": ("api", "endpoint"),
    "events": ("event", "subscribe"),
    "jobs": ("job", "job"),
    "webhooks": ("webhook", "webhook"),
}
"""Folder to the kind of its functions and to their decorator."""
MAX_NAME = 40
"""The platform allows a service 49 characters, and ``-staging`` is appended."""

_FOLDER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Declaration:
    """One function, as declared.

    Attributes:
        name: ``event-on-phonepe-event``.
        kind: webhook, event, job or api.
        source: its folder, ``functions/events/on_phonepe_event``.
        line: of the decorator in ``main.py``.
        decorator: its name.
        description: the first sentence of the docstring.
        arguments: of the decorator; only those given.
    """

    name: str
    kind: str
    source: str
    line: int
    decorator: str
    description: str
    arguments: dict[str, Any]

    @property
    def module(self) -> str:
        """The dotted name of ``main.py``."""
        return f"{self.source.replace('/', '.')}.main"

    def problem(self, text: str) -> Problem:
        """Something wrong with what the decorator says."""
        return Problem(f"{self.source}/main.py", self.line, text)


def read_declarations(graph: Graph, root: Path, problems: list[Problem]) -> list[Declaration]:
    """Every function below ``root``, sorted by name; what is wrong with them is added to ``problems``."""
    found = [_read(graph, root, folder, problems) for folder in _folders(root)]
    return sorted((item for item in found if item is not None), key=lambda item: item.name)


def _folders(root: Path) -> Iterator[Path]:
    for folder in sorted((root / "functions").glob("*/*")):
        # git leaves the cache of a removed function behind
        if folder.is_dir() and folder.name != "__pycache__" and any(item.is_file() for item in folder.iterdir()):
            yield folder


def _read(graph: Graph, root: Path, folder: Path, problems: list[Problem]) -> Declaration | None:
    where = folder.relative_to(root).as_posix()
    path = f"{where}/main.py"
    if folder.parent.name not in KINDS:
        problems.append(Problem(where, 1, f"is no kind of function; the kinds are {', '.join(KINDS)}."))
        return None
    if not _FOLDER.fullmatch(folder.name):
        problems.append(Problem(where, 1, "names the function, so it must be snake_case; rename the folder."))
        return None
    problems += _sample_problems(folder, where)
    if not (folder / "main.py").is_file():
        problems.append(Problem(path, 1, "is missing; write it, or remove the folder."))
    source = graph.source(f"{where.replace('/', '.')}.main")
    if source is None:
        return None
    kind, decorator = KINDS[folder.parent.name]
    decorated = list(_decorated(graph, source))
    if len(decorated) != 1 or decorated[0][1] != decorator:
        line = decorated[-1][0].lineno if decorated else 1
        text = f"must decorate one function, with @{decorator}; functions/{folder.parent.name} is for these."
        problems.append(Problem(path, line, text))
        return None
    function, _, call = decorated[0]
    declaration = Declaration(
        name=f"{kind}-{folder.name.replace('_', '-')}",
        kind=kind,
        source=where,
        line=call.lineno,
        decorator=decorator,
        description=_first_sentence(function),
        arguments=read_arguments(path, decorator, call, problems),
    )
    problems += _function_problems(declaration, function, path)
    problems += _last_line_problems(graph, source, function)
    return declaration


def _sample_problems(folder: Path, where: str) -> Iterator[Problem]:
    try:
        json.loads((folder / "sample.json").read_bytes())
    except FileNotFoundError:
        yield Problem(f"{where}/sample.json", 1, "is missing; write the event that the function receives.")
    except ValueError as error:
        yield Problem(f"{where}/sample.json", getattr(error, "lineno", 1), f"is not JSON; correct it ({error}).")


def _decorated(graph: Graph, source: Source) -> Iterator[tuple[_Function, str, ast.expr]]:
    for node in source.tree.body:
        if isinstance(node, _Function):
            for decorator in node.decorator_list:
                if name := decorator_name(graph, source, decorator):
                    yield node, name, decorator


def _first_sentence(function: _Function) -> str:
    paragraph = (ast.get_docstring(function) or "").split("\n\n", maxsplit=1)[0]
    return re.split(r"(?<=[.!?])\s", " ".join(paragraph.split()), maxsplit=1)[0]


def _function_problems(declaration: Declaration, function: _Function, path: str) -> Iterator[Problem]:
    folder = declaration.source.rpartition("/")[2]
    if len(declaration.name) > MAX_NAME:
        text = f"{declaration.name} has more than {MAX_NAME} characters; shorten the folder's name."
        yield declaration.problem(text)
    name = declaration.arguments.get("name", folder) if declaration.kind == "job" else function.name
    if name.replace("-", "_") != folder:
        text = f"the function is called {name} and its folder {folder}; give both one name, logs show it."
        yield Problem(path, function.lineno, text)
    if not declaration.description:
        text = f"{function.name} has no docstring; its first sentence describes the function wherever it is listed."
        yield Problem(path, function.lineno, text)


def _last_line_problems(graph: Graph, source: Source, function: _Function) -> Iterator[Problem]:
    last = source.tree.body[-1]
    match last:
        case ast.Assign(
            targets=[ast.Name(id="main")], value=ast.Call(func=serve, args=[ast.Name(id=served)], keywords=[])
        ) if served == function.name and (graph.resolve(source, dotted(serve)) or ("", ""))[1] == "serve":
            return
        case _:
            yield Problem(source.path, last.lineno, f"the last line must be `main = serve({function.name})`; write it.")
