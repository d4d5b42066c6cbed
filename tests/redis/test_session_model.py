"""Any order of operations of two clients, with failures between any two commands, and with time: as the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Unavailable
from common.redis import SessionService
from common.redis.errors import OutcomeUnknown, SessionConflict
from tests.redis.counting import keys_without_end
from tests.redis.faults import FATES, Died, Fate, faults
from tests.redis.session_model import LIFETIME, Expected, Model
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from common.redis.client import RedisClient
    from common.redis.session_models import SessionData

EXECUTED = {"ok", "answer lost", "dies after"}
ERRORS: dict[Fate, type[BaseException]] = {
    "not sent": Unavailable,
    "answer lost": OutcomeUnknown,
    "dies before": Died,
    "dies after": Died,
}
USERS = ("u", "another")

users = st.sampled_from(("u", "u", "another"))
which = st.sampled_from((0, 0, 0, 0, 1, 1, 2, -1, -2))
fates = st.sampled_from(("ok",) * 5 + FATES)
times = st.integers(1, 20).map(lambda number: number * 50)  # far from each other: the server's own time passes too
long_times = st.sampled_from((1800, 3000, 5000, 9000))
updates = st.fixed_dictionaries(
    {},
    optional={
        "current_agent": st.none() | st.sampled_from(["muse", "scout"]),
        "messages": st.lists(st.integers(), max_size=3),
        "context": st.dictionaries(st.sampled_from("ab"), st.lists(st.none(), max_size=1), max_size=2),
    },
)
# Hypothesis takes each line as often as the others.
steps = st.one_of(
    st.tuples(st.just("create"), users, fates),
    st.tuples(st.just("get"), which, st.integers(0, 1), st.just("ok"), fates),
    st.tuples(st.just("get"), which, st.integers(0, 1), fates, fates),
    st.tuples(st.just("update"), which, updates, fates),
    st.tuples(st.just("update_seen"), which, st.integers(0, 1), updates, st.booleans(), fates),
    st.tuples(st.just("update_seen"), which, st.integers(0, 1), updates, st.booleans(), st.just("ok")),
    st.tuples(st.just("extend"), which, times | long_times, fates),
    st.tuples(st.just("delete"), which, fates),
    st.tuples(st.just("rotate"), which, fates),
    st.tuples(st.just("revoke"), users, fates),
    st.tuples(st.just("list"), users),
    st.tuples(st.just("advance"), times),
    st.tuples(st.just("advance"), times | times | times | long_times),
    st.tuples(st.just("skew"), st.sampled_from([-500, -150, 0, 150, 500])),
)


def _id(session: Expected) -> str:
    assert session.session_id
    return session.session_id


class World:
    """The service and its model, taking the same steps."""

    def __init__(self, time: Timeline) -> None:
        self.time = time
        self.model = Model()
        self.service = SessionService()
        self.seen: dict[tuple[int, int], SessionData] = {}

    async def pick(self, number: int) -> Expected:
        """One that has ended for a negative number, else one that lives: the newest for 0."""
        known = [session for session in reversed(self.model.sessions) if session.session_id]
        ended = [session for session in known if not self.model.alive(session)]
        if number < 0 and ended:
            return ended[-number % len(ended)]
        living = [session for session in known if self.model.alive(session)]
        if not living:
            await self.create(USERS[0], "ok")
            return self.model.sessions[-1]
        return living[number % len(living)]

    async def outcome(self, call: Awaitable[Any], *fates: Fate) -> Any:
        """What a call answers, or the exception that its requests' fates lead to."""
        try:
            with faults(*fates):
                return await call
        except (Unavailable, Died) as error:
            return type(error)

    async def create(self, user: str, fate: Fate) -> None:
        context = {"n": len(self.model.sessions)}
        answer = await self.outcome(self.service.create_session(user, "w", context), fate)
        if fate in EXECUTED:
            self.model.begin(user, context).session_id = answer if fate == "ok" else None
        assert fate == "ok" or answer is ERRORS[fate]

    async def get(self, number: int, client: int, fate: Fate, telling: Fate) -> None:
        await self.read(await self.pick(number), client, fate, telling)

    async def read(self, session: Expected, client: int = 0, fate: Fate = "ok", telling: Fate = "ok") -> None:
        if session.session_id is None:
            return
        answer = await self.outcome(self.service.get_session(session.session_id), fate, telling)
        if fate != "ok":
            assert answer is ERRORS[fate]
            return
        told = self.model.alive(session) and self.model.due(session)
        if told and telling == "ok":
            self.model.use(session)
        if told and telling in ("dies before", "dies after"):
            assert answer is Died
        else:
            assert self.model.agrees(session, answer), (session, answer)
            if answer is not None:
                self.seen[client, id(session)] = answer
        if told and telling in EXECUTED - {"ok"}:
            self.model.use(session)

    async def update(self, number: int, changed: dict[str, Any], fate: Fate) -> None:
        session = await self.pick(number)
        alive = self.model.alive(session)
        answer = await self.outcome(self.service.update_session(_id(session), changed), fate)
        if alive and fate in EXECUTED:
            self.model.change(session, changed)
        assert answer is ERRORS[fate] if fate != "ok" else self.model.agrees(session, answer), (session, answer)

    async def update_seen(self, number: int, client: int, changed: dict[str, Any], merging: bool, fate: Fate) -> None:
        session = await self.pick(number)
        seen = self.seen.get((client, id(session)))
        if seen is None:
            await self.read(session, client)
            return
        merge = (lambda current: {"messages": [*current.messages, "merged"]}) if merging else None
        alive, same = self.model.alive(session), seen.version == session.version
        call = self.service.update_session(_id(session), changed, seen=seen, merge=merge)
        if alive and not same and not merging and fate == "ok":
            with pytest.raises(SessionConflict):
                await call
            return
        answer = await self.outcome(call, fate)
        if alive and same and fate in EXECUTED:
            self.model.change(session, changed)
        elif alive and merging and fate == "ok":
            self.model.change(session, {"messages": [*session.messages, "merged"]})
        assert answer is ERRORS[fate] if fate != "ok" else self.model.agrees(session, answer), (session, answer)

    async def extend(self, number: int, seconds: int, fate: Fate) -> None:
        session = await self.pick(number)
        alive = self.model.alive(session)
        answer = await self.outcome(self.service.extend_session(_id(session), seconds), fate)
        if alive and fate in EXECUTED:
            self.model.use(session, seconds)
        assert answer == (alive if fate == "ok" else ERRORS[fate])

    async def delete(self, number: int, fate: Fate) -> None:
        session = await self.pick(number)
        alive = self.model.alive(session)
        answer = await self.outcome(self.service.delete_session(_id(session)), fate)
        session.ended |= fate in EXECUTED
        assert answer is ERRORS[fate] if fate != "ok" else answer or not alive

    async def rotate(self, number: int, fate: Fate) -> None:
        session = await self.pick(number)
        alive = self.model.alive(session)
        answer = await self.outcome(self.service.rotate_session(_id(session)), fate)
        if alive and fate in EXECUTED:
            self.model.rename(session, answer if fate == "ok" else None)
        assert answer is ERRORS[fate] if fate != "ok" else bool(answer) == alive

    async def revoke(self, user: str, fate: Fate) -> None:
        answer = await self.outcome(self.service.revoke_sessions(user), fate)
        if fate in EXECUTED:
            self.model.revoke(user)
        assert answer is (None if fate == "ok" else ERRORS[fate])

    async def list(self, user: str) -> None:
        listed = await self.service.list_sessions(user)
        expected = self.model.living(user)
        assert len(listed) == len(expected), (listed, expected)
        assert sorted(str(info.current_agent) for info in listed) == sorted(str(each.agent) for each in expected)

    async def advance(self, seconds: int) -> None:
        await self.time.advance(seconds)
        self.model.server += seconds

    async def skew(self, ahead: int) -> None:
        self.time.step(ahead - self.model.ahead)
        self.model.ahead = ahead


@settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(steps, min_size=20, max_size=50))
async def test_sessions_are_as_the_model_says(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[Any, ...]]
) -> None:
    monkeypatch.setattr(SessionService, "MAX_LIFETIME", LIFETIME)
    await client.execute("FLUSHALL")
    with Timeline(client) as time:
        world = World(time)
        await world.create(USERS[0], "ok")
        for name, *arguments in steps:
            await getattr(world, name)(*arguments)
        for user in USERS:
            await world.list(user)
        for session in world.model.sessions:
            await world.read(session)
        assert not await keys_without_end(client)
        await time.advance(100_000)
        assert await client.execute("DBSIZE") == 0
