"""Each function weighs exactly what ``budgets.json`` says, so a dearer cold start or a bigger zip is seen in review."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from tests.performance import budgets
from tests.performance.budgets import COMMAND, Budget, artifacts, differences, over, weigh

if TYPE_CHECKING:
    from pathlib import Path

BUDGETS = budgets.read()
NEW = {
    # Upper bounds of a function just made; it gets exact numbers when the table is next rewritten.
    "webhook": Budget(modules=40, packages=0, installed=50, bytes=310_000),
    "event": Budget(modules=45, packages=0, installed=60, bytes=310_000),
    "job": Budget(modules=50, packages=0, installed=60, bytes=360_000),
    "api": Budget(modules=45, packages=0, installed=50, bytes=260_000),
}


@pytest.mark.parametrize("name", sorted(artifacts()))
def test_a_function_weighs_what_its_budget_says(name: str) -> None:
    weight, names = weigh(name)
    wrong = differences(weight, BUDGETS[name]) if name in BUDGETS else over(weight, NEW[name.partition("-")[0]])
    assert not wrong, f"{name}: {'; '.join(wrong)}: if that is meant, run `{COMMAND}`. It has: {names}"


def test_every_budget_is_of_a_function_that_exists() -> None:
    gone = BUDGETS.keys() - artifacts().keys()
    assert not gone, f"{sorted(gone)} are no functions: run `{COMMAND}`"


@pytest.mark.parametrize("name", sorted(artifacts()))
def test_the_size_follows_from_names_and_bytes_alone(name: str) -> None:
    with zipfile.ZipFile(BytesIO(artifacts()[name].content)) as packed:
        entries = packed.infolist()
    headers = sum(30 + 46 + 2 * len(entry.filename.encode()) for entry in entries) + 22  # the format's fixed parts
    assert len(artifacts()[name].content) == headers + sum(entry.file_size for entry in entries)


def test_one_byte_or_one_module_is_seen_and_said() -> None:
    budget = Budget(modules=29, packages=0, installed=45, bytes=210_683)
    assert differences(budget, budget) == []
    assert differences(replace(budget, bytes=210_684), budget) == ["1 bytes more than the budget (210684 for 210683)"]
    lighter = replace(budget, modules=28, bytes=210_600)
    assert differences(lighter, budget) == [
        "1 modules of ours loaded fewer than the budget (28 for 29)",
        "83 bytes fewer than the budget (210600 for 210683)",
    ]
    assert over(lighter, budget) == []
    assert over(replace(lighter, packages=1), budget) == ["1 packages of others loaded more than the budget (1 for 0)"]


def test_the_command_writes_the_weights_of_every_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = min(artifacts())
    monkeypatch.setattr(budgets, "artifacts", lambda: {name: artifacts()[name]})
    table = tmp_path / "budgets.json"
    budgets.write(table)
    assert budgets.read(table) == {name: weigh(name)[0]}
