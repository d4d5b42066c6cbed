"""``common/redis/README.md`` tells the truth: its keys, its costs, its examples."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from common.redis import keys, queue_room, queue_take
from common.redis.compare import capabilities
from tests.redis.costs import OPERATIONS

if TYPE_CHECKING:
    from common.redis.client import RedisClient
    from tests.redis.counting import Count

README = (Path(__file__).parents[2] / "common/redis/README.md").read_text(encoding="utf-8")
DOLLARS_PER_MILLION_COMMANDS = 2.0  # Upstash pay as you go: 0.20 for 100,000


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading: its rows by their first cell."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells}


COSTS = rows("What operations cost")
KEYS = rows("Keys")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_table_of_costs_is_of_every_operation() -> None:
    assert list(COSTS) == list(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_costs_what_the_table_says(
    client: RedisClient, count: Count, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is done once a second is done in the preparation, and not again because a machine is slow.
    monkeypatch.setattr(queue_take, "LOOK_EVERY_MS", 60_000)
    monkeypatch.setattr(queue_take, "_looked", {})
    monkeypatch.setattr(queue_room, "SECONDS", 60.0)
    monkeypatch.setattr(queue_room, "_rooms", {})
    _target, commands, round_trips, dollars = COSTS[name]
    told, _, by_script = commands.rstrip(")").partition(" (")
    single = bool((await capabilities(client)).delete_if_equal)
    run = await OPERATIONS[name]()
    async with count() as spent:
        await run()
    assert spent.commands == int(told if single or not by_script else by_script), spent
    assert spent.round_trips == int(round_trips), spent
    assert dollars == f"{int(told) * DOLLARS_PER_MILLION_COMMANDS:g}"


@pytest.mark.parametrize("builder", sorted(KEYS))
def test_keys_look_as_the_table_says(builder: str) -> None:
    (name, parameters), (pattern, *_) = re.fullmatch(r"(\w+)\((.*)\)", builder).groups(), KEYS[builder]  # type: ignore[union-attr]
    made = getattr(keys, name)(*(part.strip() for part in parameters.split(",")))
    told = "raptorflow:" + re.sub(r"<(\w+)>", r"\1", pattern.strip("`"))
    if "hash" in pattern:
        assert re.fullmatch(re.sub(r"hash$", "[0-9a-f]{64}", told), made)
    else:
        assert made == told


def test_the_table_of_keys_is_of_every_key() -> None:
    builders = {
        name
        for name, value in vars(keys).items()
        if inspect.isfunction(value) and value.__module__ == keys.__name__ and not name.startswith("_")
    }
    assert {builder.partition("(")[0] for builder in KEYS} == builders


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_runs(client: RedisClient, number: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    code = compile(EXAMPLES[number], "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    values: dict[str, Any] = {"user_id": "u-1", "workspace_id": "w-1", "run_id": "r-1"}
    result = eval(code, values)  # noqa: S307 - our own README
    if inspect.isawaitable(result):
        await result
    assert len(EXAMPLES) > 5
