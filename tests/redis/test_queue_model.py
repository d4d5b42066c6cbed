"""Two workers, any operations, crashes, lost answers and wrong clocks: the queue stays what a simple model says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Unavailable
from common.redis import queue_admin, queue_put, queue_take
from common.redis.client import require
from common.redis.errors import LeaseLost
from common.redis.moments import from_ms
from common.redis.queue import QueueService
from common.redis.queue_config import QUEUES
from common.redis.queue_records import now_ms
from common.redis.queue_take import queue_keys
from common.redis.queue_tickets import AFTER, Line, Ticket
from tests.redis.faults import FATES, Died, Fate, faults
from tests.redis.queue_model import SETTINGS, Model
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.redis.client import RedisClient
    from common.redis.queue_models import Job

QUEUE = "model"
EXECUTED = {"ok", "answer lost", "dies after"}

SETTLING = ("ack", "nack", "later", "bury", "release", "beat")

ids = st.sampled_from("abcde")
workers = st.integers(0, 1)
fates = st.sampled_from([*["ok"] * 8, *FATES])
enqueuing = st.tuples(st.just("enqueue"), ids, st.integers(-1, 1), st.sampled_from([0, 0, 0, 5000]), fates)
taking = st.tuples(st.just("take"), workers, st.integers(1, 4), fates)
settling = st.tuples(st.sampled_from(SETTLING), workers, st.integers(0, 3), fates)
operations = st.one_of(
    *[enqueuing, taking, settling, settling] * 2,
    st.tuples(st.just("crash"), workers),
    st.tuples(st.just("replay"), ids, fates),
    st.tuples(st.sampled_from(["pause", "resume", "resume", "clear"]), fates),
    st.tuples(st.just("step"), st.sampled_from([-3, -1, 0.1, 1, 4, 11, 30, 601])),
)


class Machine:
    """The real queue and the model, side by side."""

    def __init__(self, client: RedisClient, time: Timeline) -> None:
        self.client = client
        self.time = time
        self.queue = QueueService(jitter=lambda: 1.0)
        self.model = Model(now_ms())
        self.held: list[list[Job]] = [[], []]

    async def run(self, operation: tuple[Any, ...]) -> None:
        name, *arguments = operation
        await getattr(self, name if hasattr(self, name) else "settle")(
            *([] if hasattr(self, name) else [name]), *arguments
        )
        await self.compare()

    async def fated(self, fate: Fate, work: Callable[[], Awaitable[Any]], *before: Fate) -> Any:
        """What came of ``work``; None where nobody learns it."""
        with faults(*before, fate):
            try:
                return await work()
            except LeaseLost:
                return False
            except (Unavailable, Died):
                assert fate != "ok"
                return None

    async def enqueue(self, job_id: str, priority: int, delay: int, fate: Fate) -> None:
        place = self.model.place(priority, delay)
        await self.fated(fate, lambda: self.queue.enqueue(QUEUE, job_id, priority, job_id=job_id, delay=delay / 1000))
        if fate in EXECUTED:
            self.model.enqueue(job_id, priority, place, delay)

    async def take(self, worker: int, n: int, fate: Fate) -> None:
        taken = await self.fated(fate, lambda: self.queue.take(QUEUE, n))
        chosen = self.model.take(n) if fate in EXECUTED else []
        if taken is None:
            return
        assert [job.job_id for job in taken.jobs] == chosen
        assert taken.paused == self.model.paused
        for job in taken.jobs:
            entry = self.model.leased[job.job_id]
            assert (job.attempt, job.data) == (entry.attempts + 1, job.job_id)
            entry.lease = job.lease
        self.held[worker] += taken.jobs
        others = [entry.at for job_id, entry in self.model.leased.items() if job_id not in chosen]
        timers = [*others, *(entry.at for entry in self.model.delayed.values())]
        assert taken.next_due == (from_ms(min(timers)) if timers else None)

    async def settle(self, how: str, worker: int, index: int, fate: Fate) -> None:
        if not self.held[worker]:
            return
        job = self.held[worker][index % len(self.held[worker])]
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "ack": lambda: self.queue.ack(job, job.job_id),
            "nack": lambda: self.queue.nack(job, "no", delay=0),
            "later": lambda: self.queue.nack(job, "no", delay=2),
            "bury": lambda: self.queue.nack(job, "no", final=True),
            "release": lambda: self.queue.release([job]),
            "beat": lambda: self.queue.heartbeat([job]),
        }
        answer = await self.fated(fate, calls[how])
        held = self.model.held(job.job_id, job.lease)
        if how in {"ack", "beat"} and self.model.acknowledged(job.job_id, job.lease):  # it may be said again
            held = True
        if answer is not None:
            if how == "beat":
                assert answer == ([] if held else [job])
            else:
                assert bool(answer) == held, how
        if fate in EXECUTED and held:
            self.apply(how, job)
        if not answer and how != "beat":
            self.held[worker].remove(job)  # else it may be told again: that must change nothing

    def apply(self, how: str, job: Job) -> None:
        if how == "ack":
            self.model.ack(job.job_id, job.lease)
        elif how == "bury":
            self.model.bury(job.job_id)
        elif how == "beat":
            for entry in filter(None, [self.model.leased.get(job.job_id)]):
                entry.at = max(entry.at, self.model.now + int(SETTINGS.lease * 1000))
        else:
            self.model.give_back(job.job_id, spent=how != "release", delay=2000 if how == "later" else 0)

    async def crash(self, worker: int) -> None:
        self.held[worker].clear()

    async def replay(self, job_id: str, fate: Fate) -> None:
        known = job_id in self.model.known
        priority = self.model.priorities.get(job_id, 0)
        place = self.model.place(priority) if known else (0, 0, 0)
        replayed = await self.fated(fate, lambda: self.queue.replay(QUEUE, [job_id]), "ok")
        dead = job_id in self.model.dead
        if replayed is not None:
            assert replayed == dead
        if fate in EXECUTED and dead:
            self.model.replay(job_id, place)

    async def pause(self, fate: Fate) -> None:
        await self.fated(fate, lambda: self.queue.pause(QUEUE))
        self.model.paused = self.model.paused or fate in EXECUTED

    async def resume(self, fate: Fate) -> None:
        waiting = await self.fated(fate, lambda: self.queue.resume(QUEUE))
        self.model.paused = self.model.paused and fate not in EXECUTED
        assert waiting in {None, len(self.model.ready)}

    async def clear(self, fate: Fate) -> None:
        removed = await self.fated(fate, lambda: self.queue.clear_queue(QUEUE))
        if fate in EXECUTED:
            expected = self.model.clear()
            assert removed in {None, expected}

    async def step(self, seconds: float) -> None:
        self.time.step(seconds)
        self.model.now = now_ms()

    async def compare(self) -> None:
        """Everything that lies in Redis, and nothing else."""
        ready, timers, bodies, dead = queue_keys(QUEUE)
        steps = [*(("ZRANGE", key, 0, -1, "WITHSCORES") for key in (ready, timers, dead)), ("HKEYS", bodies)]
        in_ready, in_timers, in_dead, in_bodies = require(await self.client.pipeline(cast("Any", steps)))
        members = in_ready[::2]
        assert (members[:1] == ["!"]) == self.model.paused
        tickets = [Ticket.parse(member) for member in members if member != "!"]
        order = sorted(self.model.ready, key=lambda job_id: self.model.ready[job_id].place)
        assert [ticket.job_id for ticket in tickets] == order
        assert [ticket.attempts for ticket in tickets] == [self.model.ready[job_id].attempts for job_id in order]
        found: dict[str, dict[str, tuple[int, int]]] = {"delayed": {}, "leased": {}, "results": {}, "dead": {}}
        for member, score in zip(in_timers[::2], map(int, map(float, in_timers[1::2])), strict=True):
            if member.startswith("x"):
                found["dead"][member[2:]] = (score - AFTER, 0)
            else:
                ticket = Ticket.parse(member[1:]) if member.startswith("d") else Ticket.of_lease(member)
                kind = "delayed" if member.startswith("d") else "leased" if score < AFTER else "results"
                found[kind][ticket.job_id] = (score % AFTER, ticket.attempts)
        model = self.model
        assert found["delayed"] == {job_id: (entry.at, entry.attempts) for job_id, entry in model.delayed.items()}
        assert found["leased"] == {job_id: (entry.at, entry.attempts) for job_id, entry in model.leased.items()}
        assert {job_id: ends for job_id, (ends, _) in found["results"].items()} == {
            job_id: ends for job_id, (ends, _) in model.results.items()
        }
        ttl = int(SETTINGS.dead_ttl * 1000)
        assert found["dead"] == {job_id: (died + ttl, 0) for job_id, (died, _) in model.dead.items()}
        died = zip(in_dead[::2], map(int, map(float, in_dead[1::2])), strict=True)
        assert dict(died) == {job_id: at for job_id, (at, _) in model.dead.items()}
        assert set(in_bodies) == model.known

    async def finish(self) -> None:
        """Whatever happened: once workers work again, every job completes or is a dead letter."""
        self.held = [[], []]
        await self.resume("ok")
        for _ in range(4 * SETTINGS.max_attempts):
            await self.take(0, 100, "ok")
            for _ in list(self.held[0]):
                await self.settle("ack", 0, 0, "ok")
                self.held[0].pop(0)
            await self.step(31)
        assert not self.model.ready
        assert not self.model.delayed
        assert not self.model.leased
        await self.compare()


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(operations, min_size=20, max_size=60))
async def test_the_queue_is_what_the_model_says(client: RedisClient, history: list[tuple[Any, ...]]) -> None:
    await client.execute("FLUSHALL")
    line = Line()
    with (
        Timeline(client) as time,
        patch.dict(QUEUES, {QUEUE: SETTINGS}),
        patch.object(queue_take, "LOOK_EVERY_MS", 0),
        patch.object(queue_take, "FORGET_EVERY_MS", 0),
        patch.object(queue_put, "line", line),
        patch.object(queue_admin, "line", line),
    ):
        machine = Machine(client, time)
        for operation in history:
            await machine.run(operation)
        await machine.finish()


async def test_many_workers_share_a_queue_without_meeting(client: RedisClient) -> None:
    """Each job is taken once, whoever asks, while all ask at the same time."""
    queue = QueueService()
    taken: list[str] = []

    async def work() -> None:
        while jobs := (await queue.take("emails", 3)).jobs:
            taken.extend(job.job_id for job in jobs)
            assert await queue.ack_many([(job, None) for job in jobs]) == [True] * len(jobs)

    ids = [await queue.enqueue("emails", number) for number in range(300)]
    await asyncio.gather(*(work() for _ in range(20)))
    assert sorted(taken) == sorted(ids)
