"""Who may import whom: one direction, functions on top, and nothing deployed knows the tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import pytest

from tests.tools.tree import Tree
from tools.imports import Graph
from tools.manifest import build

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LAYERS = (
    # From the bottom to the top. A module belongs to the longest name that it starts with, and imports its own entry
    # or entries below; two entries of one layer do not know each other.
    ("common.backoff", "common.clock", "common.errors", "common.ids", "common.lifecycle"),
    ("common.functions.context", "common.functions.deadline", "common.functions.jsonbody"),
    ("common.config",),
    ("common.redis", "common.infrastructure", "common.database"),
    ("common.events",),
    ("common.webhooks",),
    ("common.functions",),
    ("common.jobs",),
    ("common.billing", "common.notifications"),
)
PLACES = {name: level for level, names in enumerate(LAYERS) for name in names}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "common", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in sorted(graph.modules):
        yield from ((module, imported) for imported in sorted(graph.find_modules_directly_imported_by(module)))


def is_package(module: str) -> bool:
    return (ROOT / module.replace(".", "/") / "__init__.py").is_file()


def entry_of(module: str) -> str:
    found = [name for name in PLACES if f"{module}.".startswith(f"{name}.")]
    assert found, f"{module} belongs to no layer: give it a place in LAYERS"
    return max(found, key=len)


def test_common_knows_nothing_that_is_built_on_it(graph: grimp.ImportGraph) -> None:
    above = {"functions", "scripts", "tests", "tools"}
    assert [pair for pair in imports(graph) if pair[1] in above] == []


def test_common_imports_downwards_only(graph: grimp.ImportGraph) -> None:
    wrong = []
    for module, imported in imports(graph):
        # Importing a package runs its lazy __init__, which imports nothing; see the next test.
        if imported.startswith("common.") and not is_package(imported) and not is_package(module):
            own, other = entry_of(module), entry_of(imported)
            if other != own and PLACES[other] >= PLACES[own]:
                wrong.append(f"{module} imports {imported}")
    assert not wrong


def test_a_package_of_common_imports_nothing_by_itself() -> None:
    graph = Graph(ROOT)
    for path in sorted((ROOT / "common").rglob("__init__.py")):
        module = ".".join(path.parent.relative_to(ROOT).parts)
        assert not set(graph.edges(module).modules) - {"common"}, f"{module}/__init__.py is not lazy"


def test_what_tools_pull_with_is_in_no_function() -> None:
    functions = build(ROOT)[0]["functions"]
    pulls = {"common.infrastructure.pubsub_client", "common.infrastructure.pubsub_subscriber"}
    assert not [name for name, function in functions.items() if pulls & set(function["modules"])]


def test_no_modules_of_common_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    below: dict[str, set[str]] = {module: set() for module in graph.modules if module.startswith("common")}
    for module, imported in imports(graph):
        if imported in below and not is_package(module) and not is_package(imported):
            below[module].add(imported)
    while free := {module for module, imported_ in below.items() if not imported_ & below.keys()}:
        below = {module: imported_ for module, imported_ in below.items() if module not in free}
    assert not below


def test_the_repository_breaks_no_rule_of_the_import_graph() -> None:
    assert [str(problem) for problem in build(ROOT)[1]] == []


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        ("common/database.py", "from functions.events.on_letter import main", "common knows no function"),
        ("common/database.py", "import tools.manifest", "not deployed"),
        ("functions/events/on_letter/main.py", "from scripts import benchmark", "not deployed"),
        ("functions/events/on_letter/main.py", "from functions.webhooks.source import main", "moves to common"),
        ("functions/events/on_letter/main.py", "import helping", "absolutely"),
    ],
)
def test_an_import_in_the_wrong_direction_is_a_problem(tmp_path: Path, path: str, line: str, said: str) -> None:
    tree = Tree(tmp_path)
    tree.function("events/on_letter", '@subscribe("letters")')
    tree.write("functions/events/on_letter/helping.py", "")
    tree.publisher("letters")
    target = tree.root / path
    target.write_text(f"{line}\n{target.read_text()}")
    assert [problem for problem in tree.problems() if path in problem and said in problem]
