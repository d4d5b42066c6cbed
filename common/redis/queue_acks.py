"""Acknowledging together what ends together: what ends while one acknowledgement is under way leaves with the next."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

from common.redis.queue_records import now_ms
from common.redis.queue_settle import acknowledge, lost

if TYPE_CHECKING:
    from common.redis.queue_models import Job


class Acknowledger:
    """Of one worker."""

    def __init__(self, queue_name: str) -> None:
        self._queue_name = queue_name
        self._waiting: list[tuple[Job, str, asyncio.Future[bool]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def ack(self, job: Job, record: str) -> None:
        """Acknowledge a job; safe to repeat.

        Raises:
            LeaseLost: another worker has it, or will.
            Unavailable: Redis cannot say.
        """
        held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, record, held))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())  # begins when all that end in this turn have asked
        if not await held:
            raise lost(job)

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:100], self._waiting[100:]
            answers: list[bool | Exception]
            try:
                answers = [*await acknowledge(self._queue_name, [(job, text) for job, text, _ in batch], now_ms())]
            except Exception as error:  # noqa: BLE001 - each of those who wait raises a copy of its own
                answers = [copy.copy(error) for _ in batch]
            for (_, _, held), answer in zip(batch, answers, strict=True):
                if held.done():
                    continue
                if isinstance(answer, Exception):
                    held.set_exception(answer)
                else:
                    held.set_result(answer)
        self._sending = None
