"""Schedules on a developer's machine: APScheduler fires the declarations that Cloud Scheduler fires when deployed.

Cron text means the same to both except for numbered weekdays: Cloud Scheduler counts from Sunday, APScheduler from
Monday, and ``0 9 * * 1`` fired on a Tuesday (measured). So weekdays are written by name and numbers are refused.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from common import clock
from common.clock import BILLING_TZ
from common.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

log = logging.getLogger(__name__)

_WEEKDAY_NAMES = re.compile(r"\*|[A-Z]{3}(?:[-,][A-Z]{3})*", re.IGNORECASE)


class JobScheduler:
    """Calls functions at their times, on the running event loop.

    A tick that is still running when the next is due is not started twice; ticks missed while the loop was busy or the
    machine slept are run once, as Cloud Scheduler would.

    Example:
        >>> scheduler = JobScheduler()
        >>> scheduler.register_job("job-vacuum-database", tick, "45 4 * * SUN")
        >>> scheduler.start()
        >>> await scheduler.stop()
    """

    def __init__(self, time_zone: str = BILLING_TZ) -> None:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - only where schedules run

        self._time_zone = ZoneInfo(time_zone)
        self._running: set[asyncio.Task[object]] = set()
        self._scheduler = AsyncIOScheduler(
            timezone=self._time_zone, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def register_job(self, name: str, fn: Callable[[datetime], Awaitable[object]], schedule: str) -> None:
        """Call ``fn`` with the minute, in UTC, whenever ``schedule`` is due; the same name again replaces the job.

        Args:
            name: unique.
            fn: an exception of it is logged and ends only that tick.
            schedule: five cron fields in the scheduler's time zone, weekdays by name.

        Raises:
            InvalidInput: the schedule is not such a text.
        """
        self._scheduler.add_job(
            self._tick, self._trigger(schedule), id=name, name=name, args=(name, fn), replace_existing=True
        )

    def next_run(self, name: str) -> datetime | None:
        """When the job runs next; None if it never does or is not registered."""
        job = self._scheduler.get_job(name)
        if job is None:
            return None
        planned: datetime | None = job.trigger.get_next_fire_time(None, clock.now().astimezone(self._time_zone))
        return planned

    async def run_now(self, name: str) -> None:
        """Run a registered job at once, outside its schedule.

        Raises:
            LookupError: there is no such job.
        """
        job = self._scheduler.get_job(name)
        if job is None:
            raise LookupError(f"no job is called {name}")
        await job.func(*job.args)

    def start(self) -> None:
        """Begin to fire."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Fire nothing any more and wait for the ticks that are running."""
        if self._scheduler.running:
            self._scheduler.pause()
            if self._running:
                await asyncio.wait(self._running)
            self._scheduler.shutdown(wait=False)

    def _trigger(self, schedule: str) -> Any:
        from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415

        fields = schedule.split()
        if len(fields) != 5:
            raise InvalidInput(f"a schedule has five fields, not {len(fields)}: {schedule!r}")
        if not _WEEKDAY_NAMES.fullmatch(fields[4]):
            raise InvalidInput(
                f"write weekdays by name (MON-FRI): their numbers differ between schedulers: {schedule!r}"
            )
        try:
            return CronTrigger.from_crontab(schedule, timezone=self._time_zone)
        except ValueError as error:
            raise InvalidInput(f"not a schedule: {schedule!r} ({error})") from None

    async def _tick(self, name: str, fn: Callable[[datetime], Awaitable[object]]) -> None:
        running = asyncio.current_task()
        assert running is not None  # noqa: S101 - a coroutine runs in a task
        self._running.add(running)
        try:
            await fn(clock.now().replace(second=0, microsecond=0))
        except Exception:
            log.exception("tick of %s failed", name)
        finally:
            self._running.discard(running)
