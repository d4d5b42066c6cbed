from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.tree import Tree
from tools.dependencies import client_of, distribution_of
from tools.imports import Closure, Graph

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "functions.webhooks.a.main"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def closure(tree: Tree, code: str) -> Closure:
    tree.write("functions/webhooks/a/main.py", code)
    return Graph(tree.root).closure(MAIN)


def test_a_lazy_name_leads_to_its_module_and_parents_come_along(tree: Tree) -> None:
    found = closure(tree, "from common.redis import PubSubService")
    assert found.modules == ("common", "common.redis", "common.redis.pubsub", MAIN)
    assert [item.name for item in found.third_party] == ["redis.asyncio"]


def test_importing_a_lazy_package_alone_reaches_nothing_behind_it(tree: Tree) -> None:
    assert "common.redis.pubsub" not in closure(tree, "import common.redis").modules


@pytest.mark.parametrize(
    "code",
    [
        "from common import redis\nredis.PubSubService()",
        "import common.redis\ncommon.redis.PubSubService()",
        "import common.redis as live\ndef f() -> None:\n    live.PubSubService()",
    ],
)
def test_a_lazy_name_met_as_an_attribute_is_reached(tree: Tree, code: str) -> None:
    assert "common.redis.pubsub" in closure(tree, code).modules


def test_an_export_called_like_its_module_leads_to_the_module(tree: Tree) -> None:
    assert "common.functions.webhook" in closure(tree, "from common.functions import webhook").modules


def test_every_lazy_package_on_the_way_is_reached(tree: Tree) -> None:
    tree.write("common/first/__init__.py", "if TYPE_CHECKING:\n    from common.redis import PubSubService as Live\n")
    found = closure(tree, "from common.first import Live")
    assert {"common.first", "common.redis", "common.redis.pubsub"} <= set(found.modules)


def test_imports_inside_functions_and_branches_are_followed(tree: Tree) -> None:
    code = (
        "def f():\n    if 1:\n        try:\n            from common import database\n        finally:\n            pass"
    )
    assert "common.database" in closure(tree, code).modules


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_type_checking_blocks_are_skipped_and_their_else_is_not(tree: Tree, test: str) -> None:
    code = f"if {test}:\n    import httpx\n    from common.redis import pubsub\nelse:\n    from common import database"
    found = closure(tree, code)
    assert {"common.database"} == {name for name in found.modules if name.startswith("common.")}
    assert {item.name for item in found.third_party} == {"psycopg"}


def test_siblings_are_imported_relatively_without_a_package_file(tree: Tree) -> None:
    tree.write("functions/webhooks/a/b.py", "from .deep import c")
    tree.write("functions/webhooks/a/deep/c.py", "from ..d import X")
    tree.write("functions/webhooks/a/d.py", "X = 1")
    found = closure(tree, "from . import b")
    assert found.problems == ()
    assert found.modules == tuple(f"functions.webhooks.a.{name}" for name in ("b", "d", "deep.c", "main"))


def test_circular_imports_end(tree: Tree) -> None:
    tree.write("common/x.py", "from common.y import Y\nX = 1")
    tree.write("common/y.py", "from common.x import X\nY = 1")
    tree.write("common/loop/__init__.py", "if TYPE_CHECKING:\n    from common.loop import Z\n")
    found = closure(tree, "from common import x\nfrom common.loop import Z")
    assert {"common.x", "common.y", "common.loop"} <= set(found.modules)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import os\nimport common.nowhere", ":2: imports common.nowhere, which does not exist; create it"),
        ("from common.redis import Missing", ":1: imports Missing from common.redis, which has none; a lazy __init__"),
        ("from common.database import missing", ":1: imports missing from common.database, which has none"),
        ("from functions.events.b import main", ":1: imports functions.events.b; what two functions need moves to"),
        ("from tools import manifest", ":1: imports tools, which is not deployed; import only common and siblings"),
        ("import b", ":1: imports its sibling absolutely; write `from .b import …`"),
    ],
)
def test_an_import_that_leads_nowhere_or_out_of_bounds_is_a_problem(tree: Tree, code: str, complaint: str) -> None:
    tree.write("functions/webhooks/a/b.py", "")
    (problem,) = closure(tree, code).problems
    assert f"functions/webhooks/a/main.py{complaint}" in str(problem)


def test_common_must_not_import_functions(tree: Tree) -> None:
    tree.write("common/bad.py", "from functions.webhooks.a.main import main")
    (problem,) = closure(tree, "import common.bad\nmain = 1").problems
    assert str(problem) == "common/bad.py:1: imports functions.webhooks.a.main; common knows no function."


def test_a_name_that_a_module_imported_itself_is_no_problem(tree: Tree) -> None:
    tree.write("common/uses.py", "from starlette.responses import Response\nfrom common.database import execute")
    assert closure(tree, "from common.uses import Response, execute").problems == ()


@pytest.mark.parametrize(
    ("name", "distribution", "client"),
    [
        ("google.cloud.pubsub_v1.types.PubsubMessage", "google-cloud-pubsub", "pubsub"),
        ("google.pubsub_v1", "google-cloud-pubsub", "pubsub"),
        ("google.api_core.exceptions", "google-cloud-pubsub", "pubsub"),
        ("google.cloud.tasks_v2", "google-cloud-tasks", "tasks"),
        ("grpc.aio", "google-cloud-pubsub", "pubsub"),
        ("psycopg_pool", "psycopg-pool", "postgres"),
        ("psycopg.rows", "psycopg", "postgres"),
        ("functions_framework.aio", "functions-framework", None),
        ("httpx", "httpx", "http"),
    ],
)
def test_an_import_names_its_distribution_and_client(name: str, distribution: str, client: str | None) -> None:
    assert (distribution_of(name), client_of(name)) == (distribution, client)


def test_what_lies_in_the_repository_is_read_without_being_run(tree: Tree) -> None:
    tree.write("common/explosive.py", "raise SystemExit('imported')")
    assert "common.explosive" in closure(tree, "import common.explosive").modules
