"""The import graph: which files a function reaches, and which packages, without importing or installing anything.

Every import that can run is followed, those inside functions included; what stands under ``if TYPE_CHECKING:`` is not.
A name taken from a lazy ``__init__`` (PEP 562) leads to the module that its ``TYPE_CHECKING`` block names: the block is
what type checkers read, so it cannot be wrong unnoticed. The ``__init__`` of every parent comes along.

Example:
    >>> closure = Graph(Path()).closure("functions.webhooks.phonepe.main")
    >>> "common.webhooks.verification" in closure.modules
    True
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.problem import Problem
from tools.source import Import, Reference, Source, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOTS = frozenset({"common", "functions"})
"""The packages that are deployed."""
UNDEPLOYED = frozenset({"tools", "scripts", "tests"})


@dataclass(frozen=True, order=True, slots=True)
class ThirdParty:
    """An import of a package that is neither ours nor Python's: its full dotted name and where it stands."""

    name: str
    path: str
    line: int
    module: str


@dataclass(frozen=True, slots=True)
class Closure:
    """What one module reaches.

    Attributes:
        modules: dotted names of files of this repository, its own and the ``__init__`` of parents included.
        third_party: see `ThirdParty`.
        problems: imports that lead nowhere, or where they must not.
    """

    modules: tuple[str, ...]
    third_party: tuple[ThirdParty, ...]
    problems: tuple[Problem, ...]


class Graph:
    """The modules below ``root``, each read once, when it is first reached."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sources: dict[str, Source | None] = {}
        self._edges: dict[str, Closure] = {}
        self.syntax_errors: list[Problem] = []

    def source(self, module: str) -> Source | None:
        """The file of ``module``; None where there is none (a namespace package has none either)."""
        if module not in self._sources:
            self._sources[module] = self._read(module)
        return self._sources[module]

    def closure(self, entry: str) -> Closure:
        """Everything that ``entry`` reaches."""
        reached: set[str] = set()
        pending = {entry, *_parents(entry)}
        while pending:
            module = pending.pop()
            if module in reached or self.source(module) is None:
                continue
            reached.add(module)
            pending |= set(self.edges(module).modules) - reached
        edges = [self.edges(module) for module in reached]
        return Closure(
            modules=tuple(sorted(reached)),
            third_party=tuple(sorted({item for edge in edges for item in edge.third_party})),
            problems=tuple(sorted({item for edge in edges for item in edge.problems})),
        )

    def edges(self, module: str) -> Closure:
        """What ``module`` itself imports; nothing where there is no such file."""
        if module not in self._edges:
            source = self.source(module)
            self._edges[module] = _EdgeReader(self, source).read() if source else Closure((), (), ())
        return self._edges[module]

    def resolve(self, source: Source, chain: tuple[str, ...]) -> Reference | None:
        """What a dotted expression in ``source`` means: a module and the name in it; None if it is nothing of ours.

        Example:
            >>> graph.resolve(handler, ("types", "PaymentCompleted"))
            ('common.events.types', 'PaymentCompleted')
        """
        if not chain:
            return None
        if chain[0] in source.bindings:
            found = self.lookup(*source.bindings[chain[0]])
        elif chain[0] in source.definitions:
            found = (source.name, chain[0])
        else:
            return None
        for name in chain[1:]:
            module, attribute = found
            found = self.lookup(module, name) if not attribute else (module, f"{attribute}.{name}")
        return found if found[0].partition(".")[0] in ROOTS else None

    def exists(self, module: str) -> bool:
        """Whether ``module`` is a file or a namespace package."""
        return self.source(module) is not None or self._root.joinpath(*module.split(".")).is_dir()

    def lookup(self, module: str, name: str) -> Reference:
        """Where ``name`` of ``module`` is really defined."""
        return self.trail(module, name)[-1]

    def trail(self, module: str, name: str) -> list[Reference]:
        """The same with every lazy ``__init__`` on the way, which is imported too."""
        found = [(module, name)]
        while (following := self._following(*found[-1])) and following not in found:
            found.append(following)
        return found

    def _following(self, module: str, name: str) -> Reference | None:
        if not name or module.partition(".")[0] not in ROOTS:
            return None
        source = self.source(module)
        if source and source.is_package and name in source.exports:
            return source.exports[name]
        if self.exists(f"{module}.{name}"):
            return (f"{module}.{name}", "")
        if source and name not in source.definitions:
            return source.bindings.get(name)
        return None

    def _read(self, module: str) -> Source | None:
        base = self._root.joinpath(*module.split("."))
        for path, is_package in ((base / "__init__.py", True), (base.with_suffix(".py"), False)):
            if path.is_file():
                where = path.relative_to(self._root).as_posix()
                try:
                    return read(path.read_bytes(), name=module, path=where, is_package=is_package)
                except (SyntaxError, ValueError) as error:  # the latter for a NUL
                    line = getattr(error, "lineno", None) or 1
                    self.syntax_errors.append(Problem(where, line, f"is not Python; correct it ({error.args[0]})."))
        return None


class _EdgeReader:
    """Follows the imports of one file."""

    def __init__(self, graph: Graph, source: Source) -> None:
        self._graph = graph
        self._source = source
        self._modules: set[str] = set()
        self._third_party: list[ThirdParty] = []
        self._problems: list[Problem] = []

    def read(self) -> Closure:
        for item in self._source.imports:
            self._follow(item)
        for chain in self._source.chains:
            # `from common import events` and `events.PaymentCompleted`: the lazy name is met as an attribute
            for length in range(1, len(chain) + 1):
                found = self._graph.resolve(self._source, chain[:length])
                if found is not None:
                    self._reach(found[0])
        return Closure(tuple(self._modules), tuple(self._third_party), tuple(self._problems))

    def _follow(self, item: Import) -> None:
        top = item.module.partition(".")[0]
        if top in ROOTS:
            self._follow_ours(item)
        elif top in UNDEPLOYED:
            self._complain(item, f"imports {item.module}, which is not deployed; import only common and siblings.")
        elif top not in sys.stdlib_module_names:
            if self._sibling(item.module):
                self._complain(item, f"imports its sibling absolutely; write `from .{item.module} import …`.")
                return
            names = [f"{item.module}.{name}" for name in item.names] or [item.module]
            self._third_party += [ThirdParty(name, self._source.path, item.line, self._source.name) for name in names]

    def _follow_ours(self, item: Import) -> None:
        if not self._may_import(item.module):
            advice = "what two functions need moves to common" if self._is_function else "common knows no function"
            self._complain(item, f"imports {item.module}; {advice}.")
            return
        if not self._graph.exists(item.module):
            self._complain(item, f"imports {item.module}, which does not exist; create it or correct the name.")
            return
        self._reach(item.module)
        for name in item.names:
            trail = self._graph.trail(item.module, name)
            for module, _ in trail:
                self._reach(module)
            module, attribute = trail[-1]
            defined = self._graph.source(module)
            if attribute and module in self._modules and (defined is None or attribute not in defined.definitions):
                self._complain(
                    item,
                    f"imports {name} from {item.module}, which has none; a lazy __init__ must import it under "
                    "`if TYPE_CHECKING:`.",
                )

    def _may_import(self, module: str) -> bool:
        folder = ".".join(self._source.package.split(".")[:3])  # functions.<kind>.<name>
        return module.startswith("common") or (self._is_function and f"{module}.".startswith(f"{folder}."))

    @property
    def _is_function(self) -> bool:
        return self._source.name.startswith("functions.")

    def _sibling(self, module: str) -> bool:
        return (
            self._is_function
            and "." not in module
            and self._graph.source(f"{self._source.package}.{module}") is not None
        )

    def _reach(self, module: str) -> None:
        if module.partition(".")[0] in ROOTS:
            self._modules |= {module, *_parents(module)}

    def _complain(self, item: Import, text: str) -> None:
        self._problems.append(Problem(self._source.path, item.line, text))


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module
