"""The cache beside a model of it: whatever happens to requests, clocks and processes, nothing old comes back."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Unavailable
from common.redis import CacheService, keys
from common.redis.cache_refresh import Pace
from common.redis.client import RedisClient
from common.redis.config import RedisConfig
from common.redis.errors import OutcomeUnknown
from tests.redis.counting import keys_without_end
from tests.redis.faults import FATES, Died, Fate, faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.redis.servers import RedisServer

WORKSPACES, KEYS, TAGS = ("w", "v"), ("a", "b"), ("s", "t")


@pytest.fixture
async def clients(client: RedisClient, redis_server: RedisServer) -> AsyncIterator[list[RedisClient]]:
    """Two processes."""
    made = [RedisClient(RedisConfig(redis_server.full_url, command_timeout=20)) for _ in range(2)]
    yield made
    for one in made:
        await one.aclose()


@dataclass(frozen=True)
class Op:
    """What one process does.

    Attributes:
        name: of the operation, ``evict`` that loses a generation, ``advance`` of all time, ``step`` of our clock alone.
        fates: of its requests.
        takes: seconds that its factory takes.
    """

    name: str
    process: int
    workspace: str
    key: str
    tags: tuple[str, ...]
    seconds: float
    fates: list[Fate] = field(default_factory=list)
    takes: float = 0.0


def operations(names: list[str], fates: st.SearchStrategy[list[Fate]]) -> st.SearchStrategy[list[Op]]:
    one = st.builds(
        Op,
        name=st.sampled_from(names),
        process=st.integers(0, 1),
        workspace=st.sampled_from(WORKSPACES),
        key=st.sampled_from(KEYS),
        tags=st.sampled_from([(), ("s",), ("s", "t")]),
        seconds=st.sampled_from([20.0, 70.0, 300.0]),
        fates=fates,
        takes=st.sampled_from([0.0, 30.0]),
    )
    return st.lists(one, min_size=8, max_size=25)


@dataclass
class Known:
    """A value that may still be there.

    Attributes:
        ends: by the server's time.
    """

    ends: float
    tags: tuple[str, ...]


@dataclass
class Model:
    """What may be read: the values, each a number of its own, that nothing has removed since.

    Attributes:
        exact: without faults what may be there is there.
    """

    exact: bool
    slack: float
    now: float = 0.0
    made: int = 0
    values: dict[tuple[str, str], dict[int, Known]] = field(default_factory=dict)

    def at(self, op: Op) -> dict[int, Known]:
        return self.values.setdefault((op.workspace, op.key), {})

    def wrote(self, op: Op, value: int, *, surely: bool) -> None:
        there = self.at(op)
        if surely:
            there.clear()
        there[value] = Known(self.now + op.seconds, op.tags)

    def removed(self, op: Op) -> None:
        for (workspace, key), there in self.values.items():
            for value, known in list(there.items()):
                kinds = {"delete": key == op.key, "invalidate": "s" in known.tags}
                if workspace == op.workspace and kinds.get(op.name, True):
                    del there[value]

    def check(self, op: Op, got: int | None, made: int | None = None) -> None:
        readable = {value for value, known in self.at(op).items() if self.now < known.ends + self.slack}
        if op.name == "get_or_set" and self.exact:  # else a value made early may have the tags of the one before
            readable = {value for value in readable if set(op.tags) <= set(self.at(op)[value].tags)}
        if got is not None and got == made:
            assert not (self.exact and readable), f"{op} made {made}, though {readable} was there"
        elif got is None:
            assert not (self.exact and readable), f"{op} missed {readable}"
        else:
            assert got in readable, f"{op} gave {got}, of {readable}"


async def run(model: Model, services: list[CacheService], time: Timeline, op: Op) -> None:
    """Do ``op``, and tell the model what came of it."""
    cache = services[op.process]
    if op.name == "advance":
        await time.advance(op.seconds)
        model.now += op.seconds
    elif op.name == "step":
        time.step(op.seconds if op.process else -op.seconds)
    elif op.name == "get":
        model.check(op, await cache.get(op.workspace, op.key))
    elif op.name == "get_or_set":
        await get_or_set(model, cache, time, op)
    elif op.name == "set":
        model.made += 1
        try:
            await cache.set(op.workspace, op.key, model.made, op.seconds, tags=op.tags)
        except (OutcomeUnknown, Died):
            model.wrote(op, model.made, surely=False)
        else:
            model.wrote(op, model.made, surely=True)
    else:
        calls: dict[str, Any] = {
            "delete": lambda: cache.delete(op.workspace, op.key),
            "clear": lambda: cache.clear_workspace(op.workspace),
            "invalidate": lambda: cache.invalidate_tag(op.workspace, "s"),
            "evict": lambda: cache._store().client.execute("DEL", keys.cache_generation(op.workspace)),
        }
        await calls[op.name]()
        model.removed(op)


async def get_or_set(model: Model, cache: CacheService, time: Timeline, op: Op) -> None:
    model.made += 1
    value, ran = model.made, []

    async def factory() -> int:
        ran.append(value)
        time.step(op.takes)
        return value

    try:
        got = await cache.get_or_set(op.workspace, op.key, factory, op.seconds, tags=op.tags)
        model.check(op, got, value)
    finally:
        if ran:
            model.wrote(op, value, surely=model.exact)


async def play(clients: list[RedisClient], model: Model, ops: list[Op], *draws: float) -> None:
    await clients[0].execute("FLUSHALL")
    lease = 6.0 if model.exact else 0.02  # who died is waited for in real time
    paces = (Pace(lease=lease, patience=2 * lease, draw=itertools.repeat(draw).__next__) for draw in draws)
    services = [CacheService(client, pace=pace) for client, pace in zip(clients, paces, strict=True)]
    with Timeline(clients[0]) as time:
        for op in ops:
            with faults(*op.fates):
                try:
                    await run(model, services, time, op)
                except (Unavailable, Died):
                    assert op.fates
    assert not await keys_without_end(clients[0])


NAMES = ["get", "get", "get_or_set", "get_or_set", "set", "delete", "clear", "invalidate", "advance", "evict"]
FATE: st.SearchStrategy[Fate] = st.sampled_from((*("ok",) * 6, *FATES))
SETTINGS = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(ops=operations(NAMES, st.just([])))
async def test_what_was_stored_is_there_until_it_is_removed(
    clients: list[RedisClient], ops: list[Op], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.redis.cache_generations.REMEMBERED_SECONDS", -1)
    still = [Op(**{**vars(op), "takes": 0.0}) for op in ops]
    await play(clients, Model(exact=True, slack=0), still, 0.0, 0.0)


@SETTINGS
@given(ops=operations([*NAMES, "step"], st.lists(FATE, max_size=5)))
async def test_nothing_that_was_removed_comes_back(clients: list[RedisClient], ops: list[Op]) -> None:
    steps = sum(op.seconds + op.takes for op in ops if op.name in {"step", "get_or_set"})
    await play(clients, Model(exact=False, slack=min(300.0, steps)), ops, 0.5, 0.999999)


@pytest.mark.parametrize("seed", range(4))
async def test_no_reader_gets_what_is_older_than_an_invalidation_that_ended_before_he_asked(
    clients: list[RedisClient], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many at once, in two processes: a table's row is read through the cache, changed, and invalidated."""
    monkeypatch.setattr("common.redis.cache_refresh._FIRST_PAUSE_SECONDS", 0.002)
    chance = random.Random(seed)  # noqa: S311 - a test's
    services = [CacheService(client, pace=Pace(draw=lambda: chance.choice([0.1, 0.999999]))) for client in clients]
    row, seen_by_all, reads, runs = 0, 0, 0, 0

    async def pause() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(chance.choice([0, 0, 0.001]))

    async def table() -> int:
        nonlocal runs
        runs += 1
        read = row
        await pause()
        return read

    async def change(cache: CacheService) -> None:
        nonlocal row, seen_by_all
        row += 1
        version = row
        await pause()
        match chance.randrange(3):
            case 0:
                await cache.delete("w", "k")
            case 1:
                await cache.clear_workspace("w")
            case _:
                await cache.invalidate_tag("w", "t")
        seen_by_all = max(seen_by_all, version)

    async def worker() -> None:
        nonlocal reads
        for _ in range(40):
            cache = chance.choice(services)
            if chance.random() < 0.2:
                await change(cache)
                await pause()
            at_least = seen_by_all
            read = await cache.get_or_set("w", "k", table, 60, tags=["t"])
            assert read >= at_least
            reads += 1
            await pause()

    await asyncio.gather(*(worker() for _ in range(8)))
    assert runs < reads
