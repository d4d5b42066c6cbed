"""``@cached`` (R8): which calls are the same, whose values they are, and how they are forgotten."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidInput, Unavailable
from common.redis.cache import CacheService
from common.redis.cache_decorators import _Calls, cached
from common.redis.errors import InvalidKey, InvalidValue
from tests.redis.counting import keys_without_end
from tests.redis.faults import faults
from tests.redis.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from common.redis.client import RedisClient
    from tests.redis.counting import Count

W, OTHER = "7d1c1f2e-0000-4000-8000-000000000002", "7d1c1f2e-0000-4000-8000-000000000003"
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@cached(ttl=60, tags=["foundation"])
async def summary(workspace_id: str, number: int = 1, *names: str, deep: bool = False, **more: Any) -> dict[str, Any]:
    """Sum up."""
    ran.append(workspace_id)
    return {"of": workspace_id, "number": number, "names": list(names), "deep": deep, "more": more}


@cached()
async def summary_of_summaries(workspace_id: str) -> list[Any]:
    ran.append(workspace_id)
    return [await summary(workspace_id)]


async def test_a_call_is_made_once(client: RedisClient, count: Count) -> None:
    first = await summary(W, 2, "a", deep=True, x=1)
    assert first == {"of": W, "number": 2, "names": ["a"], "deep": True, "more": {"x": 1}}
    async with count() as spent:
        assert await summary(W, 2, "a", deep=True, x=1) == first
    assert (spent.commands, spent.round_trips) == (1, 1)
    assert ran == [W]
    assert not await keys_without_end(client)


async def test_concurrent_equal_calls_are_one(client: RedisClient) -> None:
    answers: list[Any] = await asyncio.gather(
        *(summary_of_summaries(W) for _ in range(50)), summary(W), summary_of_summaries(OTHER)
    )
    assert answers[:50] == [[answers[50]]] * 50
    assert answers[51][0]["of"] == OTHER
    assert sorted(ran) == [W] * 2 + [OTHER] * 2


async def test_the_argument_decides_whose_value_it_is(client: RedisClient) -> None:
    assert (await summary(W))["of"] == W
    assert (await summary(OTHER))["of"] == OTHER
    assert (await summary(number=1, workspace_id=W))["of"] == W
    assert ran == [W, OTHER]
    await CacheService().clear_workspace(W)
    await summary(OTHER)
    await summary(W)
    assert ran == [W, OTHER, W]


SAME: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((W,), {}), ((W, 1), {}), ((), {"number": 1, "workspace_id": W})]
DIFFERENT: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((W, 2), {}),
    ((W, 1.0), {}),
    ((W, True), {}),
    ((W, "1"), {}),
    ((W, None), {}),
    ((W, [1]), {}),
    ((W, 1, "deep"), {}),
    ((W, 1, "a", "b"), {}),
    ((W, 1, "a,b"), {}),
    ((W,), {"deep": True}),
    ((W,), {"x": {"a": 1}}),
    ((W,), {"x": {"a": "1"}}),
    ((OTHER,), {}),
]


def test_which_calls_are_the_same() -> None:
    calls = _Calls(inspect.unwrap(summary), None, 1)
    assert len({calls.place(args, kwargs) for args, kwargs in SAME}) == 1
    assert len({calls.place(args, kwargs) for args, kwargs in [SAME[0], *DIFFERENT]}) == len(DIFFERENT) + 1
    assert calls.place((W,), {"x": {"a": 1, "b": 2}}) == calls.place((W,), {"x": {"b": 2, "a": 1}})
    assert _Calls(inspect.unwrap(summary), None, 2).place((W,), {}) != calls.place((W,), {})
    assert _Calls(inspect.unwrap(summary_of_summaries), None, 1).place((W,), {}) != calls.place((W,), {})


ARGUMENT = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("ab,:\"'\\", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, max_examples=200)
@given(first=st.tuples(ARGUMENT, ARGUMENT), second=st.tuples(ARGUMENT, ARGUMENT))
def test_different_arguments_never_share_a_value(first: tuple[Any, Any], second: tuple[Any, Any]) -> None:
    calls = _Calls(inspect.unwrap(summary), None, 1)
    one, two = (calls.place((W, number), {"x": x}) for number, x in (first, second))
    assert (one == two) == (typed(first) == typed(second))


def typed(value: Any) -> Any:
    """A value with its types: equal where they are, too."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    return [typed(inner) for inner in value] if isinstance(value, list | tuple) else (type(value), repr(value))


@dataclass
class Query:
    text: str


@pytest.mark.parametrize("argument", [Query("a"), UUID(int=1), (1,), {1}, b"a", {1: 2}, float("nan"), object, "\ud800"])
async def test_arguments_that_are_not_json_are_refused(client: RedisClient, argument: Any) -> None:
    with pytest.raises(InvalidKey, match=r"argument number of .*summary cannot name a cached value") as refused:
        await summary(W, argument)
    assert isinstance(refused.value, InvalidInput)
    with pytest.raises(InvalidKey, match="argument more"):
        await summary.invalidate(W, x=argument)
    assert not ran


@pytest.mark.parametrize("workspace_id", [None, 7, "", UUID(int=1), ["w"]])
async def test_what_is_no_workspace_is_refused(client: RedisClient, workspace_id: Any) -> None:
    with pytest.raises(InvalidKey):
        await summary(workspace_id)
    with pytest.raises(InvalidKey):
        await summary.invalidate_all(workspace_id)
    assert not ran


async def test_key_fn_says_what_a_call_is_called(client: RedisClient) -> None:
    @cached(key_fn=lambda workspace_id, query: query.text)
    async def search(workspace_id: str, query: Query) -> str:
        ran.append(query)
        return f"{workspace_id} {query.text}"

    assert await search(W, Query("a")) == await search(W, Query("a")) == f"{W} a"
    assert await search(OTHER, Query("a")) == f"{OTHER} a"
    assert len(ran) == 2
    await search.invalidate(W, Query("a"))
    await search(W, query=Query("a"))
    assert len(ran) == 3
    for nothing in ("", None, 7):
        with pytest.raises(InvalidKey, match=r"key_fn of .* must return text"):
            await search(W, Query(nothing))  # type: ignore[arg-type]


async def test_what_is_forgotten_is_made_again(client: RedisClient, count: Count) -> None:
    async def made_again(forget: Callable[[], Awaitable[None]]) -> list[int]:
        ran.clear()
        async with count() as spent:
            await forget()
        assert (spent.commands, spent.round_trips) == (1, 1)
        again = []
        for number in (1, 2):
            await summary(W, number)
            again += [number] if ran else []
            ran.clear()
        await summary_of_summaries(W)
        await summary(OTHER)
        again += [len(ran)] if ran else []
        return again

    await made_again(lambda: CacheService().clear_workspace(W))
    assert await made_again(lambda: summary.invalidate(W, 2)) == [2]
    assert await made_again(lambda: summary.invalidate(OTHER, 2)) == []
    assert await made_again(lambda: summary.invalidate_all(W)) == [1, 2]
    assert await made_again(lambda: CacheService().invalidate_tag(W, "foundation")) == [1, 2]
    assert await made_again(lambda: summary_of_summaries.invalidate_all(W)) == [1]


async def test_time_errors_and_values(client: RedisClient) -> None:
    @cached(ttl=10)
    async def odd(workspace_id: str, outcome: str) -> Any:
        ran.append(outcome)
        if outcome == "fails":
            raise ValueError("no")
        return {"none": None, "tuple": (1,)}[outcome]

    with Timeline(client) as time:
        assert await odd(W, "none") is await odd(W, "none") is None
        assert ran == ["none"]
        await time.advance(10.1)
        await odd(W, "none")
        assert ran == ["none"] * 2
    for outcome, error in (("fails", ValueError), ("tuple", InvalidValue)):
        for _ in range(2):
            with pytest.raises(error):
                await odd(W, outcome)
    assert ran[2:] == ["fails", "fails", "tuple", "tuple"]
    with faults("not sent"):
        assert await odd(W, "none") is None
    with faults("not sent"), pytest.raises(Unavailable):
        await odd.invalidate(W, "none")


async def test_a_cached_function_stays_a_function() -> None:
    assert summary.__name__ == "summary"  # type: ignore[attr-defined]
    assert summary.__doc__ == "Sum up."
    assert inspect.iscoroutinefunction(summary)
    with pytest.raises(TypeError, match="missing a required argument: 'workspace_id'"):
        await summary()  # type: ignore[call-arg]


def test_what_cannot_be_cached_is_refused_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match="async functions"):
        cached()(lambda workspace_id: workspace_id)
    with pytest.raises(TypeError, match="give it a parameter workspace_id"):

        @cached()
        async def rates(currency: str) -> str:
            return currency
