from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.functions.resources import DEFAULTS, RATE_CLASSES
from tests.tools.tree import Tree
from tools.manifest import build, load, main, parse

REPOSITORY = Path(__file__).parents[2]
PUBSUB = "from common.infrastructure.pubsub_client import pubsub_client"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_webhook(tree: Tree) -> None:
    tree.function(
        "webhooks/phonepe",
        '@webhook(publishes=["webhook-phonepe"], secrets=["phonepe-webhook-secrets"], timeout=30)',
        'secret_values("phonepe-webhook-secrets")\nawait pubsub_client().publish("webhook-phonepe", b"")',
        imports=f"from common.config.secrets import secret_values\n{PUBSUB}",
    )
    document = tree.manifest()
    assert document["functions"]["webhook-phonepe"] == {
        "source": "functions/webhooks/phonepe",
        "description": "Do it.",
        "trigger": {"kind": "http", "public": True},
        "publishes": ["webhook-phonepe"],
        "enqueues": [],
        "buckets": [],
        "datasets": [],
        "secrets": ["phonepe-webhook-secrets"],
        "clients": ["pubsub"],
        "groups": ["pubsub", "runtime"],
        "modules": [
            "common",
            "common.config.secrets",
            "common.functions",
            "common.functions.serve",
            "common.functions.webhook",
            "common.infrastructure.pubsub_client",
            "functions.webhooks.phonepe.main",
        ],
    }
    assert document["topics"] == {
        "dead-letter": {"types": [], "ordered": False},
        "webhook-phonepe": {"types": [], "ordered": False},
    }
    assert document["secrets"] == ["phonepe-webhook-secrets"]
    assert document["defaults"] == DEFAULTS
    assert document["rate_classes"] == RATE_CLASSES


def test_a_subscription_publishes_dead_letters_by_itself(tree: Tree) -> None:
    tree.publisher("topic-a")
    decorator = '@subscribe("topic-a", max_age=60, ordered=True, filter="attributes:x", timeout=90, memory="1Gi")'
    tree.function("events/on_a", decorator)
    document = tree.manifest()
    function = document["functions"]["event-on-a"]
    assert function["trigger"] == {
        "kind": "pubsub",
        "topic": "topic-a",
        "ordered": True,
        "filter": "attributes:x",
        "max_age": 60,
        "dead_letter": True,
    }
    assert function["publishes"] == ["dead-letter"]
    assert {key: function[key] for key in function.keys() & DEFAULTS.keys()} == {
        "timeout": 90,
        "memory": "1Gi",
        "concurrency": 10,
    }
    assert document["topics"]["topic-a"] == {"types": [], "ordered": True}


def test_the_subscription_on_dead_letters_has_none(tree: Tree) -> None:
    tree.function("events/on_dead_letter", '@subscribe("dead-letter")')
    function = tree.manifest()["functions"]["event-on-dead-letter"]
    assert function["trigger"]["dead_letter"] is False
    assert function["publishes"] == []


def test_an_endpoint_is_guarded_unless_public(tree: Tree) -> None:
    tree.function("api/health", "@endpoint()")
    tree.function("api/open", "@endpoint(public=True, timeout=3600)")
    functions = tree.manifest()["functions"]
    assert functions["api-health"]["trigger"] == {"kind": "http", "public": False}
    assert functions["api-open"]["trigger"] == {"kind": "http", "public": True}


def test_a_job_with_a_schedule_is_called_by_it(tree: Tree) -> None:
    tree.function("jobs/sweep", '@job("sweep", schedule="*/5 * * * *", retries=0)', name="sweep_job")
    function = tree.manifest()["functions"]["job-sweep"]
    schedule = {"schedule": "*/5 * * * *", "time_zone": "Asia/Kolkata"}
    assert function["trigger"] == {"kind": "schedule", **schedule, "retries": 0}
    assert (function["concurrency"], function["timeout"], function["max_instances"]) == (1, 300, 3)
    assert function["publishes"] == []


def test_a_job_without_a_schedule_is_a_task_with_its_own_queue(tree: Tree) -> None:
    tree.function("jobs/index_memory", '@job("index-memory", queue="bulk")', name="run")
    document = tree.manifest()
    function = document["functions"]["job-index-memory"]
    assert function["trigger"] == {"kind": "task", "rate_class": "bulk", "retries": 3}
    assert function["publishes"] == ["dead-letter"]
    assert document["queues"] == ["job-index-memory"]


def test_a_job_per_workspace_is_a_task_that_is_dispatched(tree: Tree) -> None:
    tree.function("jobs/bill", '@job("bill", schedule="0 3 1 * *", per="workspace")', name="bill")
    assert tree.manifest()["functions"]["job-bill"]["trigger"] == {
        "kind": "task",
        "rate_class": "default",
        "retries": 3,
        "dispatch": {"schedule": "0 3 1 * *", "time_zone": "Asia/Kolkata", "per": "workspace"},
    }


def test_topics_know_the_event_types_published_there(tree: Tree) -> None:
    tree.function(
        "webhooks/a",
        '@webhook(publishes=["payment-completed"])',
        "PaymentCompleted()",
        imports="from common.events import PaymentCompleted",
    )
    topics = tree.manifest()["topics"]
    assert topics["payment-completed"]["types"] == ["raptorflow.payment.completed.v1"]


def test_the_loader_merges_the_defaults(tree: Tree) -> None:
    tree.publisher("topic-a")
    tree.function("events/on_a", '@subscribe("topic-a", timeout=45)')
    tree.function("jobs/bill", '@job("bill", schedule="0 3 * * SUN", per="workspace")')
    assert main(["--root", str(tree.root)]) == 0
    manifest = load(tree.root / "functions.json")
    handler = manifest.functions["event-on-a"]
    assert (handler.name, handler.module) == ("event-on-a", "functions.events.on_a.main")
    assert (handler.timeout, handler.concurrency, handler.memory, handler.entry_point) == (45, 10, "512Mi", "main")
    assert (handler.trigger.topic, handler.trigger.filter, handler.trigger.ordered) == ("topic-a", None, False)
    assert manifest.functions["webhook-source"].trigger.public
    dispatch = manifest.functions["job-bill"].trigger.dispatch
    assert dispatch is not None
    assert (dispatch.per, dispatch.time_zone) == ("workspace", "Asia/Kolkata")
    assert manifest.rate_classes["bulk"].concurrent == 1
    assert manifest == parse(build(tree.root)[0])


def test_the_same_source_makes_the_same_bytes_from_anywhere(
    tree: Tree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tree.publisher("topic-a", "topic-b")
    tree.function("events/on_a", '@subscribe("topic-a")')
    made = []
    for number, seed in enumerate(("1", "2")):
        output = tmp_path_factory.mktemp("output") / "functions.json"
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        root = tree.root if number else os.path.relpath(tree.root, elsewhere)
        subprocess.run(
            [sys.executable, "-m", "tools.manifest", "--root", str(root), "--output", str(output)],
            cwd=elsewhere,
            env={"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": seed},
            check=True,
            timeout=30,
        )
        made.append(output.read_bytes())
    assert made[0] == made[1]
    assert made[0].endswith(b"}\n")
    assert str(tree.root).encode() not in made[0]


def test_the_tool_needs_no_package_and_imports_no_product_code(tree: Tree) -> None:
    tree.publisher("topic-a")
    code = (
        "import sys; from tools.manifest import main; code = main(sys.argv[1:]);"
        "ours = [name for name in sys.modules if name.split('.')[0] in {'common', 'functions'}];"
        "sys.exit(code or (1 if ours else 0))"
    )
    command = [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {code}"]
    subprocess.run([*command, "--root", str(tree.root)], check=True, timeout=30, cwd=tree.root.parent)


def test_check_accepts_a_current_file_and_shows_how_a_stale_one_differs(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.publisher("topic-a")
    root = ["--root", str(tree.root)]
    assert main([*root, "--check"]) == 1
    assert "run `make manifest`" in capsys.readouterr().err
    assert not (tree.root / "functions.json").exists()
    assert main(root) == 0
    assert "functions.json written: 1 functions" in capsys.readouterr().out
    assert main([*root, "--check"]) == 0
    assert "functions.json is current" in capsys.readouterr().out
    tree.publisher("topic-b")
    before = (tree.root / "functions.json").read_bytes()
    assert main([*root, "--check"]) == 1
    shown = capsys.readouterr()
    assert '-        "topic-a"' in shown.out
    assert '+        "topic-b"' in shown.out
    assert "functions.json is stale: run `make manifest`" in shown.err
    assert (tree.root / "functions.json").read_bytes() == before


def test_every_problem_is_printed_at_once_and_nothing_is_written(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.function("events/on_a", '@subscribe("nobody")')
    tree.function("events/on_b", '@subscribe("nobody", publishes=["unused"])')
    assert main(["--root", str(tree.root)]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1] == "3 problems; functions.json was not made"
    assert [line.partition(":")[0] for line in shown[:-1]] == [
        "functions/events/on_a/main.py",
        "functions/events/on_b/main.py",
        "functions/events/on_b/main.py",
    ]
    assert not (tree.root / "functions.json").exists()


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("common/functions/resources.py", "DEFAULTS = {}", "has no DEFAULTS_BY_KIND"),
        ("pyproject.toml", "[", "the manifest cannot be made: "),
    ],
)
def test_a_repository_that_cannot_be_read_says_why(
    tree: Tree, path: str, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.write(path, text)
    assert main(["--root", str(tree.root)]) == 1
    assert complaint in capsys.readouterr().err


def test_a_file_that_is_not_python_is_one_problem(tree: Tree) -> None:
    tree.write("common/broken.py", "x =\n")
    tree.function("webhooks/a", "@webhook()").write_text("def", encoding="utf-8")
    assert [line.partition(" (")[0] for line in tree.problems()] == [
        "common/broken.py:1: is not Python; correct it",
        "functions/webhooks/a/main.py:1: is not Python; correct it",
    ]
