"""A new function passes everything before a line of it is edited, and a refused one leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.manifest import build
from tools.new import FOLDERS, Refused, create, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MADE = {"webhook": "a_new_webhook", "event": "on_sample_made", "job": "a_new_job", "endpoint": "a_new_endpoint"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("common", "functions", "supabase", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("functions.json", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def run(checkout: Path, *command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_function_of_each_kind_passes_lint_types_tests_manifest_and_packaging(checkout: Path) -> None:
    for kind, name in MADE.items():
        assert f"{name}/main.py" in run(checkout, "tools.new", kind, name)
    mains = [f"functions/{FOLDERS[kind]}/{name}/main.py" for kind, name in MADE.items()]
    tests = [f"tests/functions/{FOLDERS[kind]}/test_{name}.py" for kind, name in MADE.items()]
    run(checkout, "ruff", "check", *mains, *tests)
    run(checkout, "ruff", "format", "--check", *mains, *tests)
    run(checkout, "mypy", *mains, *tests)
    assert "is current" in run(checkout, "tools.manifest", "--check")
    packed = json.loads(run(checkout, "tools.package", "--json"))
    assert {"webhook-a-new-webhook", "event-on-sample-made", "job-a-new-job", "api-a-new-endpoint"} <= packed.keys()
    served = ["tests/functions/test_cli.py", "tests/performance", "tests/tools/test_manifest_current.py"]
    run(
        checkout,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *tests,
        *served,
        "-k",
        f"{' or '.join(MADE.values())} or new",
    )


@pytest.fixture
def untouched(checkout: Path) -> Iterator[Path]:
    before = sorted(checkout.rglob("*"))
    text = (checkout / "functions.json").read_text()
    yield checkout
    assert sorted(checkout.rglob("*")) == before
    assert (checkout / "functions.json").read_text() == text


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("event", "OnMove", "not snake_case"),
        ("event", "../on_move", "not snake_case"),
        ("job", "a" * 40, "more than 40 characters"),
        ("webhook", "phonepe", "exists"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(untouched: Path, kind: str, name: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        create(kind, name, root=untouched)


def test_a_topic_that_nobody_publishes_to_is_refused_with_those_that_are(
    untouched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["event", "on_move", "--topic", "move-started", "--root", str(untouched)]) == 1
    told = capsys.readouterr().err
    assert "no function publishes to move-started" in told
    assert "payment-completed" in told


def test_a_repository_with_problems_gets_no_new_function(untouched: Path) -> None:
    broken = untouched / "functions/webhooks/phonepe/sample.json"
    text = broken.read_text()
    broken.write_text("{")
    try:
        with pytest.raises(Refused, match=r"webhooks/phonepe/sample\.json"):
            create("event", "on_move", root=untouched)
    finally:
        broken.write_text(text)


def test_an_event_takes_the_topic_and_the_class_that_its_name_says(checkout: Path) -> None:
    files = create("event", "on_payment_completed_too", root=checkout, topic="payment-completed")
    try:
        assert "event: PaymentCompleted" in files[0].read_text()
        functions = build(checkout)[0]["functions"]
        assert functions["event-on-payment-completed-too"]["trigger"]["topic"] == "payment-completed"
    finally:
        shutil.rmtree(files[0].parent)
        files[2].unlink()
