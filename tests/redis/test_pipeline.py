"""Pipelines, transactions and scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from common.errors import Unavailable
from common.redis.batching import Batcher
from common.redis.client import RedisClient, require
from common.redis.config import RedisConfig
from common.redis.errors import CommandRefused, InvalidValue, NoScript, OutcomeUnknown, WrongType
from common.redis.lua_scripts import all_scripts, register_scripts
from common.redis.pipeline import OpResult, RedisOp, RedisPipeline
from common.redis.scripts import Script, ScriptCall
from tests.redis.faults import faults

if TYPE_CHECKING:
    from tests.redis.counting import Count

BUMP = Script("bump", "return redis.call('INCRBY', KEYS[1], ARGV[1])")


async def test_each_step_has_its_own_result(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        replies = await client.pipeline([("SET", "k", "v"), ("INCR", "k"), ("LPUSH", "k", 1), ("GET", "k")])
    assert replies[0] == "OK"
    assert isinstance(replies[1], CommandRefused)
    assert isinstance(replies[2], WrongType)
    assert replies[3] == "v"
    assert (spent.commands, spent.round_trips) == (4, 1), spent
    with pytest.raises(CommandRefused, match="not an integer"):
        require(replies)


async def test_a_bad_step_sends_none(client: RedisClient) -> None:
    steps: list[Any] = [("SET", "k", "v"), ("SET", "l", None)]
    for transaction in (False, True):
        with pytest.raises(InvalidValue):
            await client.pipeline(steps, transaction=transaction)
    assert not await client.exists("k")


async def test_bytes_in_a_step_are_its_own_error(client: RedisClient) -> None:
    await client.set("k", b"\xff")
    replies = await client.pipeline([("GET", "k"), ("EXISTS", "k")])
    assert isinstance(replies[0], InvalidValue)
    assert replies[1] == 1
    assert await client.pipeline([("GET", "k")], raw=True) == [b"\xff"]


async def test_no_steps_are_no_command(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        assert await client.pipeline([]) == await client.pipeline([], transaction=True) == []
    assert spent.commands == 0


async def test_a_huge_pipeline_leaves_in_parts_in_order(client: RedisClient) -> None:
    before = client.statistics.writes
    replies = await client.pipeline([("INCR", "n")] * 50_000)
    assert replies == list(range(1, 50_001))
    assert client.statistics.writes - before == 50


async def test_a_transaction_is_all_or_nothing(client: RedisClient, count: Count) -> None:
    async with count() as spent:
        assert await client.pipeline([("SET", "k", 1), ("INCR", "k")], transaction=True) == ["OK", 2]
    assert (spent.commands, spent.round_trips) == (4, 1), spent
    with pytest.raises(CommandRefused, match="unknown command"):
        await client.pipeline([("SET", "k", 7), ("NOSUCH",)], transaction=True)
    assert await client.get("k") == "2"
    replies = await client.pipeline([("LPUSH", "k", 1), ("INCR", "k")], transaction=True)
    assert isinstance(replies[0], WrongType)
    assert replies[1] == 3


async def test_a_transaction_that_is_too_large_says_so(client: RedisClient) -> None:
    with pytest.raises(InvalidValue, match="split it"):
        await client.pipeline([("INCR", "n")] * 10_001, transaction=True)
    assert not await client.exists("n")


# --- RedisPipeline


async def test_every_operation_has_its_own_result(client: RedisClient, count: Count) -> None:
    await client.run(BUMP, ["n"], [1])
    operations = [
        RedisOp(("SET", "k", "v", "PX", 60_000)),
        RedisOp(("LPUSH", "k", 1)),
        RedisOp(ScriptCall(BUMP, ["n"], [2])),
        RedisOp(("GET", "k")),
        RedisOp(("GET", "missing")),
    ]
    async with count() as spent:
        stored, pushed, bumped, read, missing = await RedisPipeline().execute(operations)
    assert (spent.commands, spent.round_trips) == (6, 1), spent  # the script's own INCRBY is the sixth
    assert (stored.get(), bumped.get(), read.get(), missing) == ("OK", 3, "v", OpResult(None, None))
    assert isinstance(pushed.error, WrongType)
    with pytest.raises(WrongType):
        pushed.get()


async def test_a_transaction_costs_two_more(client: RedisClient, count: Count) -> None:
    operations = [RedisOp(("SET", "k", "x", "PX", 60_000)), RedisOp(("INCR", "k")), RedisOp(("STRLEN", "k"))]
    async with count() as spent:
        results = await RedisPipeline().execute(operations, transaction=True)
    assert (spent.commands, spent.round_trips) == (5, 1), spent
    assert [result.value for result in results] == ["OK", None, 1]
    assert isinstance(results[1].error, CommandRefused)
    with pytest.raises(CommandRefused, match="unknown command"):
        await RedisPipeline().execute([RedisOp(("DEL", "k")), RedisOp(("NOSUCH",))], transaction=True)
    assert await client.get("k") == "x"


async def test_a_bad_operation_sends_none(client: RedisClient, count: Count) -> None:
    good = RedisOp(("INCR", "n"))
    async with count() as spent:
        for step, error in ((("SET", "k", None), InvalidValue), (("BLPOP", "k", 0), ValueError)):
            with pytest.raises(error):
                await RedisPipeline().execute([good, RedisOp(step)])  # type: ignore[arg-type] # as a caller might
        with pytest.raises(InvalidValue, match="10000000 bytes"):
            await RedisPipeline().execute([good, RedisOp(("SET", "k", "x" * 10_000_000))])
        with pytest.raises(InvalidValue, match="split it"):
            await RedisPipeline().execute([RedisOp(("SET", "k", "x" * 6_000_000))] * 2, transaction=True)
        assert await RedisPipeline().execute([]) == []
    assert spent.commands == 0


async def test_a_pipeline_is_repeated_only_if_all_of_it_may_be(client: RedisClient) -> None:
    told: list[bool] = []
    submit = Batcher.submit

    async def noting(batcher: Batcher, *arguments: Any, idempotent: bool = False, **options: Any) -> list[Any]:
        told.append(idempotent)
        return await submit(batcher, *arguments, idempotent=idempotent, **options)

    read, counted = RedisOp(("GET", "k"), idempotent=True), RedisOp(("INCR", "n"))
    with patch.object(Batcher, "submit", noting):
        for operations in ([read], [read, counted], [counted]):
            await RedisPipeline().execute(operations)
    assert told == [True, False, False]


async def test_a_later_part_that_fails_hides_nothing_of_the_earlier_ones(client: RedisClient) -> None:
    operations = [RedisOp(("INCR", "n"))] * 3_500
    with faults("ok", "ok", "answer lost"):
        results = await RedisPipeline().execute(operations)
    assert [result.value for result in results[:2_000]] == list(range(1, 2_001))
    assert all(isinstance(result.error, OutcomeUnknown) for result in results[2_000:3_000])
    unsent = [result.error for result in results[3_000:]]
    assert all(isinstance(error, Unavailable) and not isinstance(error, OutcomeUnknown) for error in unsent)
    assert await client.get("n") == "3000"
    with faults("answer lost"), pytest.raises(OutcomeUnknown):
        await RedisPipeline().execute(operations)


# --- scripts


async def test_a_script_runs_by_its_hash_and_costs_what_it_does(client: RedisClient, count: Count) -> None:
    assert await client.run(BUMP, ["n"], [1]) == 1
    async with count() as spent:
        assert await client.run(BUMP, ["n"], [2]) == 3
    assert spent.by_name == {"evalsha": 1, "incrby": 1}
    assert spent.round_trips == 1


async def test_a_forgotten_script_is_sent_again_and_runs_once(client: RedisClient, count: Count) -> None:
    await client.run(BUMP, ["n"], [1])
    await client.execute("SCRIPT", "FLUSH")
    async with count() as spent:
        assert await client.run(BUMP, ["n"], [1]) == 2
    assert spent.by_name == {"evalsha": 1, "eval": 1, "incrby": 1}
    async with count() as spent:
        assert await client.run(BUMP, ["n"], [1]) == 3
    assert spent.by_name == {"evalsha": 1, "incrby": 1}


@pytest.mark.parametrize("transaction", [False, True])
async def test_scripts_in_a_pipeline_keep_their_order_though_the_server_forgot_them(
    client: RedisClient, transaction: bool
) -> None:
    await client.execute("SCRIPT", "FLUSH")
    bump = ScriptCall(BUMP, ["n"], [1])
    steps: list[Any] = [("SET", "n", 10), bump, ("GET", "n"), bump, ("GET", "n")]
    assert await client.pipeline(steps, transaction=transaction) == ["OK", 11, "11", 12, "12"]


async def test_a_script_forgotten_between_two_parts_runs_alone_again(client: RedisClient) -> None:
    steps: list[Any] = [ScriptCall(BUMP, ["n"], [1]), ("SCRIPT", "FLUSH"), ScriptCall(BUMP, ["n"], [1]), ("INCR", "m")]
    assert await client.pipeline(steps) == [1, "OK", 2, 1]
    assert await client.get("n") == "2"
    with faults("ok", "answer lost"):
        before, _, unknown, after = await client.pipeline(steps)
    assert (before, after) == (3, 2)
    assert isinstance(unknown, OutcomeUnknown)


async def test_an_error_in_a_script_is_a_refusal(client: RedisClient) -> None:
    with pytest.raises(CommandRefused):
        await client.run(Script("bad", "return redis.call('NOSUCH')", keys=0), [])
    await client.execute("RPUSH", "l", 1)
    with pytest.raises(WrongType):
        await client.run(BUMP, ["l"], [1])


async def test_a_script_takes_the_keys_that_it_says(client: RedisClient) -> None:
    with pytest.raises(ValueError, match="bump takes 1 keys, not 2"):
        await client.run(BUMP, ["a", "b"], [1])


async def test_scripts_on_the_double(mock_redis: RedisClient) -> None:
    assert await mock_redis.run(BUMP, ["n"], [1]) == 1
    assert await mock_redis.run(BUMP, ["n"], [1]) == 2
    assert await mock_redis.pipeline([ScriptCall(BUMP, ["n"], [1]), ("GET", "n")]) == [3, "3"]
    assert set(await register_scripts(mock_redis)) == {script.name for script in all_scripts()}


async def test_registered_scripts_are_known_by_their_hash(client: RedisClient) -> None:
    await client.execute("SCRIPT", "FLUSH")
    writes = client.statistics.writes  # the server reads so much text in parts
    assert await register_scripts() == {script.name: script.sha for script in all_scripts()}
    assert client.statistics.writes - writes == 1
    assert await client.execute("SCRIPT", "EXISTS", *(script.sha for script in all_scripts())) == [1] * len(
        all_scripts()
    )


@pytest.mark.parametrize(
    ("url", "header"), [("rediss://:t@h.upstash.io:6379", True), ("rediss://:t@redis.example.com:6379", False)]
)
async def test_only_upstash_is_sent_the_header(url: str, header: bool) -> None:
    sent: list[bytes] = []

    async def forgetful(_: Batcher, payload: bytes, commands: int, **_options: Any) -> list[Any]:
        sent.append(payload)
        return [NoScript("", "NOSCRIPT") if b"EVALSHA" in payload else 1] * commands

    client = RedisClient(RedisConfig(url))
    with patch.object(Batcher, "submit", forgetful):
        assert await client.run(BUMP, ["n"], [1]) == 1
        assert await client.pipeline([ScriptCall(BUMP, ["n"], [1])]) == [1]
    by_sha, *by_text = sent
    assert (BUMP.locking_sha if header else BUMP.sha).encode() in by_sha
    assert [b"#!lua flags=allow-key-locking" in payload for payload in by_text] == [header] * 2


def test_upstash_is_asked_to_lock_single_keys() -> None:
    command = BUMP.by_text(["k"], [1], key_locking=True)
    assert str(command[1]).startswith("#!lua flags=allow-key-locking\n")
    assert BUMP.by_sha(["k"], [1], key_locking=True)[1] == BUMP.locking_sha != BUMP.sha


@pytest.mark.parametrize("script", all_scripts(), ids=lambda script: script.name)
def test_scripts_keep_the_rules(script: Script) -> None:
    assert not re.search(r"\b(struct|cmsgpack|bit|os)\.", script.source), "not on every server"
    assert not script.source.startswith("#!"), "the client adds it"
    for _, key in re.findall(r"redis\.p?call\(\s*'(\w+)'\s*,\s*([^,)]+)", script.source):
        assert key.startswith("KEYS["), f"{key}: every key comes through KEYS"
    assert len({one.name for one in all_scripts()}) == len(all_scripts())
