"""Work that several callers of one process wait for is done once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Flight(Generic[T]):
    """Work under way.

    Attributes:
        number: of its start among all of this process's.
        lease: in Redis that it holds, or waits for.
        waiters: callers that want what comes of it.
    """

    number: int
    lease: str = field(default_factory=new_id)
    waiters: int = 0
    task: asyncio.Task[T] = field(init=False)


class Flights(Generic[T]):
    """The work under way on one event loop, the newest for each name."""

    def __init__(self) -> None:
        self.begun = 0
        self._running: dict[Hashable, Flight[T]] = {}

    def running(self, name: Hashable) -> Flight[T] | None:
        """What is under way."""
        return self._running.get(name)

    def start(self, name: Hashable, work: Callable[[Flight[T]], Coroutine[None, None, T]]) -> Flight[T]:
        """Begin, in the context of the caller: its deadline, its log labels. `join` must follow."""
        self.begun += 1
        flight: Flight[T] = Flight(self.begun)
        flight.task = asyncio.create_task(work(flight))
        flight.task.add_done_callback(lambda _: self._forget(name, flight))
        self._running[name] = flight
        return flight

    async def join(self, name: Hashable, flight: Flight[T]) -> T:
        """What comes of it, or the error that all who wait get.

        A caller that is cancelled leaves the work to the others; the last one takes it with him, since nothing may
        run on after an invocation.
        """
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._forget(name, flight)  # first: nobody may join what is being cancelled
                flight.task.cancel()

    def _forget(self, name: Hashable, flight: Flight[T]) -> None:
        if self._running.get(name) is flight:
            del self._running[name]
