"""Time that an invocation has, and who is told."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from common.errors import Unavailable
from common.functions import deadline
from tests.timing import late

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_outside_of_an_invocation_a_call_has_its_own_time() -> None:
    assert deadline.remaining(7) == 7


async def test_inside_a_call_has_at_most_what_is_left() -> None:
    async with deadline.within(5):
        assert deadline.remaining(3) == 3
        assert 4.5 < deadline.remaining(60) <= 5


async def test_what_outlives_its_time_is_cancelled() -> None:
    cancelled = False
    with pytest.raises(deadline.DeadlineExceeded) as caught:
        async with deadline.within(0.02):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                cancelled = True
                raise
    assert cancelled
    assert isinstance(caught.value, Unavailable)


async def test_a_time_out_of_a_call_inside_is_not_taken_for_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        async with deadline.within(5), asyncio.timeout(0.01):
            await asyncio.sleep(1)


async def test_never_below_a_millisecond() -> None:
    with pytest.raises(deadline.DeadlineExceeded):
        async with deadline.within(0.01):
            time.sleep(0.02)  # noqa: ASYNC251 - the loop is blocked on purpose
            assert deadline.remaining(5) == 0.001
            await asyncio.sleep(1)


async def test_stopping_shortens_what_runs_and_lengthens_nothing() -> None:
    short, long = asyncio.Event(), asyncio.Event()

    async def work(seconds: float, entered: asyncio.Event) -> None:
        with pytest.raises(deadline.DeadlineExceeded):
            async with deadline.within(seconds):
                entered.set()
                await asyncio.sleep(60)

    quick = asyncio.create_task(late(work(0.1, short), 0.1))
    shortened = asyncio.create_task(work(60, long))
    await asyncio.gather(short.wait(), long.wait())
    deadline.shorten_all(0.5)
    assert abs(await late(shortened, 0.5)) < 0.15
    assert abs(await quick) < 0.15


async def test_each_ends_in_its_own_time_whatever_order_they_begin_in() -> None:
    async def work(seconds: float) -> None:
        with pytest.raises(deadline.DeadlineExceeded):
            async with deadline.within(seconds):
                await asyncio.sleep(60)

    lates = await asyncio.gather(*(late(work(seconds), seconds) for seconds in (0.6, 0.2, 0.4, 0.2)))
    assert all(abs(one) < 0.15 for one in lates)


async def test_an_inner_deadline_ends_before_the_outer_one_and_leaves_it_alone() -> None:
    async with deadline.within(5):
        with pytest.raises(deadline.DeadlineExceeded):
            async with deadline.within(0.05):
                await asyncio.sleep(10)
        assert 4 < deadline.remaining(60) <= 5
        await asyncio.sleep(0.01)


async def test_one_that_swallows_the_cancellation_ends_all_the_same_once() -> None:
    async with deadline.within(5):
        with pytest.raises(deadline.DeadlineExceeded):
            async with deadline.within(0.02):
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    await asyncio.sleep(0.05)
                    raise
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_loop_has_its_own(run: Callable[..., None]) -> None:
    async def once() -> None:
        with pytest.raises(deadline.DeadlineExceeded):
            async with deadline.within(0.02):
                await asyncio.sleep(10)

    for _ in range(2):
        run(once())
