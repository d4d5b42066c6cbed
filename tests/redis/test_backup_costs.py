"""What a backup costs, and that it never costs more than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from common.redis.backup import RedisBackup
from common.redis.client import RedisClient, require
from common.redis.command_budget import CommandBudgetExceeded, Progress
from tests.redis.contents import contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.redis.counting import Count

ALL = "raptorflow:*"


@pytest.fixture
async def three(client: RedisClient) -> None:
    """A string, a hash and a stream of four entries, all with an end."""
    names = ("string", "hash", "stream")
    await client.execute("SET", "raptorflow:string", "v")
    await client.execute("HSET", "raptorflow:hash", "f", "v")
    require(await client.pipeline([("XADD", "raptorflow:stream", "*", "f", number) for number in range(4)]))
    require(await client.pipeline([("EXPIRE", f"raptorflow:{name}", 500) for name in names]))


@pytest.mark.usefixtures("three")
async def test_a_key_costs_three_commands_to_read(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        assert len(await RedisBackup().backup_keys(ALL)) == 3
    assert spent.by_name == {
        "scan": 1, "type": 3, "multi": 1, "get": 1, "hscan": 1, "xrange": 1, "pttl": 3, "exec": 1
    }  # fmt: skip
    assert spent.round_trips == 3, spent


@pytest.mark.usefixtures("three")
async def test_a_string_costs_one_command_to_write_and_a_collection_four(client: RedisClient, count: Count) -> None:
    backup = await RedisBackup().backup_keys(ALL)
    costs = {}
    await client.execute("FLUSHDB")
    for key, entry in backup.items():
        async with count() as spent:
            await RedisBackup().restore_keys({key: entry})
        costs[key.removeprefix("raptorflow:")] = (spent.commands, spent.round_trips)
    assert costs == {"string": (1, 1), "hash": (4, 1), "stream": (7, 1)}  # a stream: four, and each further entry


async def test_a_thousand_keys_are_read_in_a_few_round_trips(client: RedisClient, count: Count) -> None:
    require(await client.pipeline([("SET", f"raptorflow:{number}", number, "EX", 500) for number in range(1000)]))
    seen: list[Progress] = []
    async with count() as spent:
        backup = await RedisBackup(progress=seen.append).backup_keys(ALL)
    assert len(backup) == 1000
    assert spent.commands == 3000 + spent.by_name["scan"] + 2 * spent.by_name["multi"]
    assert spent.by_name["scan"] <= 3
    assert spent.by_name["multi"] <= 12
    assert seen[-1] == Progress(1000, spent.commands)
    assert [one.keys for one in seen] == sorted(one.keys for one in seen)
    async with count() as spent:
        await RedisBackup().restore_keys(backup, replace=True)
    assert spent.commands == 1000


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("budget", range(12))
async def test_the_budget_is_never_exceeded(client: RedisClient, count: Count, budget: int) -> None:
    async with count() as spent:
        with pytest.raises(CommandBudgetExceeded, match=f"more than {budget} commands"):
            await RedisBackup(budget=budget).backup_keys(ALL)
    assert spent.commands <= budget


@pytest.mark.usefixtures("three")
async def test_twelve_commands_are_enough(client: RedisClient) -> None:
    assert len(await RedisBackup(budget=12).backup_keys(ALL)) == 3


@pytest.mark.usefixtures("three")
async def test_a_restore_that_would_cost_too_much_writes_nothing(client: RedisClient, tmp_path: Any) -> None:
    backup = await RedisBackup().backup_keys(ALL)
    await RedisBackup().export_to_file(ALL, tmp_path / "file")
    await client.execute("FLUSHDB")
    poor = RedisBackup(budget=15)
    calls: list[Callable[[], Any]] = [
        lambda: poor.restore_keys(backup),
        lambda: poor.import_from_file(tmp_path / "file"),
    ]
    for call in calls:
        with pytest.raises(CommandBudgetExceeded):
            await call()
    assert await contents(client) == {}
    assert (await RedisBackup(budget=16).restore_keys(backup)).written == 3
