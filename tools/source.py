"""What one Python file says, read in one pass and without running it.

Only what the manifest needs: the imports that can run, what they bind, module-level constants, and calls.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Reference: TypeAlias = tuple[str, str]
"""A module and a name in it, as an import statement gives them; the name is empty for the module itself."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import that can run: ``module``, and the names taken from it (none for ``import module``)."""

    module: str
    names: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and the names that its surrounding functions bind: such a name is no module-level constant."""

    node: ast.Call
    scopes: tuple[set[str], ...]

    def is_local(self, name: str) -> bool:
        """Whether a surrounding function binds ``name``."""
        return any(name in scope for scope in self.scopes)


@dataclass(slots=True)
class Source:
    """One file.

    Attributes:
        name: the dotted name it is imported by.
        path: of the file, relative to the repository, with forward slashes.
        is_package: whether it is an ``__init__.py``.
        tree: parsed.
        imports: see `Import`; those under ``if TYPE_CHECKING:`` are not among them.
        bindings: local name to what an import that can run binds to it, in whatever scope.
        exports: the same for imports under ``if TYPE_CHECKING:``; in a lazy ``__init__`` these are what it exports.
        constants: module-level ``NAME`` and ``Class.NAME`` to the expression assigned.
        definitions: every name that the module's top level defines by itself.
        calls: see `Call`.
        chains: dotted expressions that start with an imported name, such as ``storage_config.EVIDENCE_BUCKET``.
        strings: the string literals that could be the name of an environment variable, with their lines.
        typed: variables, attributes and parameters to the names in their annotations and in the calls that made them.
    """

    name: str
    path: str
    is_package: bool
    tree: ast.Module
    imports: list[Import] = field(default_factory=list)
    bindings: dict[str, Reference] = field(default_factory=dict)
    exports: dict[str, Reference] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    definitions: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    chains: set[tuple[str, ...]] = field(default_factory=set)
    strings: dict[str, int] = field(default_factory=dict)
    typed: dict[str, set[str]] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """The package that relative imports of this file start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def read(text: bytes, *, name: str, path: str, is_package: bool) -> Source:
    """Read one file.

    Raises:
        SyntaxError: it is not Python.
    """
    source = Source(name, path, is_package, ast.parse(text, path))
    _top_level(source, source.tree.body)
    _Reader(source).visit(source.tree)
    source.chains = {chain for chain in source.chains if chain[0] in source.bindings}
    return source


def dotted(node: ast.expr) -> tuple[str, ...]:
    """``a.b.c`` as its parts; empty for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def names_in(node: ast.AST) -> set[str]:
    """Every plain name below ``node``; an annotation in quotes counts as what it says."""
    found: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name):
            found.add(child.id)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str) and child.value.isidentifier():
            found.add(child.value)
    return found


def _top_level(source: Source, body: list[ast.stmt]) -> None:
    for node in body:
        for name, value in _assigned(node):
            if value is None or name in source.definitions:
                source.constants.pop(name, None)  # assigned twice: no constant
            else:
                source.constants[name] = value
            source.definitions.add(name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            source.definitions.add(node.name)
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                source.constants |= {f"{node.name}.{name}": value for name, value in _assigned(child) if value}
        elif not _is_type_checking(node):
            for block in ("body", "orelse", "finalbody") if isinstance(node, ast.If | ast.Try | ast.With) else ():
                _top_level(source, getattr(node, block, []))


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            else:
                yield from ((child.id, None) for child in ast.walk(target) if isinstance(child, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, node.value


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and dotted(node.test)[-1:] == ("TYPE_CHECKING",)


class _Reader(ast.NodeVisitor):
    def __init__(self, source: Source) -> None:
        self._source = source
        self._scopes: tuple[set[str], ...] = ()

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node):
            self.generic_visit(node)
            return
        for child in ast.walk(ast.Module(node.body, [])):
            if isinstance(child, ast.Import | ast.ImportFrom):
                self._source.exports |= _bound(self._source, child)
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        self._source.imports += [Import(alias.name, (), node.lineno) for alias in node.names]
        self._source.bindings |= _bound(self._source, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = tuple(alias.name for alias in node.names if alias.name != "*")
        self._source.imports.append(Import(_absolute(self._source, node), names, node.lineno))
        self._source.bindings |= _bound(self._source, node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring says nothing that runs
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value.isupper() and node.value.isidentifier():
            self._source.strings.setdefault(node.value, node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain = dotted(node)
        if chain:
            self._source.chains.add(chain)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._source.calls.append(Call(node, self._scopes))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_function(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        outside = self._scopes
        self._scopes = (*outside, set())
        self.generic_visit(node)
        self._scopes = outside

    def visit_Name(self, node: ast.Name) -> None:
        if self._scopes and isinstance(node.ctx, ast.Store):
            self._scopes[-1].add(node.id)

    def visit_arg(self, node: ast.arg) -> None:
        if self._scopes:
            self._scopes[-1].add(node.arg)
        self._note(node.arg, node.annotation)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(node.value, ast.Call):
                self._note(_last(target), node.value.func)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._note(_last(node.target), node.annotation)
        self.generic_visit(node)

    def _note(self, name: str, type_or_maker: ast.expr | None) -> None:
        if type_or_maker is not None:
            self._source.typed.setdefault(name, set()).update(names_in(type_or_maker))


def _last(target: ast.expr) -> str:
    return dotted(target)[-1] if dotted(target) else ""


def _bound(source: Source, node: ast.Import | ast.ImportFrom) -> dict[str, Reference]:
    if isinstance(node, ast.ImportFrom):
        module = _absolute(source, node)
        return {alias.asname or alias.name: (module, alias.name) for alias in node.names if alias.name != "*"}
    return {
        alias.asname or alias.name.partition(".")[0]: (alias.name if alias.asname else alias.name.partition(".")[0], "")
        for alias in node.names
    }


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = source.package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)
