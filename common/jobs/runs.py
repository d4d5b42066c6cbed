"""The table ``job_runs``: who may run, for how long, and what came of it (domain 4.0).

A claim is one statement, so of any number of deliveries one runs. The claim is a lease that the run renews; whoever
dies stops renewing, and the next delivery takes over. Its attempt's number is greater, and every later write names the
number, so the one who was thought dead and was not writes nothing. Leases are counted by Postgres' clock: instances'
clocks differ, and a test that sets ours must not set a lease.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common import clock
from common.database import execute, fetch_one
from common.errors import Unavailable
from common.jobs.models import JobResult, JobStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How long a dead run blocks its successor, at most."""
RENEW_SECONDS = 8.0
"""Between renewals: three may fail before the lease is gone."""


class LeaseLost(Unavailable):
    """Another attempt has taken over; this one must stop, and what it did must be safe to repeat."""


@dataclass(slots=True)
class Run:
    """A claimed run.

    Attributes:
        job_name: of the job.
        scope: whose.
        period: which.
        attempt: from 1; the fencing number.
        cursor: where an earlier attempt stopped, None at the beginning.
    """

    job_name: str
    scope: str
    period: str
    attempt: int
    cursor: Any = None

    @property
    def job_id(self) -> str:
        """Its name in logs and answers."""
        return f"{self.job_name}/{self.scope}/{self.period}"

    async def save_cursor(self, cursor: Any) -> None:
        """Keep how far this run has come, for whoever goes on after it.

        Raises:
            LeaseLost: another attempt has taken over.
        """
        await self._write("cursor = %(cursor)s::jsonb", {"cursor": json.dumps(cursor)})
        self.cursor = cursor

    async def renew(self) -> None:
        """Keep the lease.

        Raises:
            LeaseLost: another attempt has taken over.
        """
        await self._write("lease_until = clock_timestamp() + %(lease)s * interval '1 second'", {"lease": LEASE_SECONDS})

    async def finish(self, status: JobStatus, result: Any = None, *, error: str = "", cursor: Any = None) -> None:
        """End the run and give up the lease.

        Raises:
            LeaseLost: another attempt has taken over.
        """
        await self._write(
            "status = %(status)s, lease_until = null, completed_at = %(now)s, result = %(result)s::jsonb, "
            "error = nullif(%(error)s, ''), cursor = coalesce(%(cursor)s::jsonb, cursor)",
            {
                "status": status.value,
                "now": clock.now(),
                "result": None if result is None else json.dumps(result),
                "error": error[:500],
                "cursor": None if cursor is None else json.dumps(cursor),
            },
        )

    async def _write(self, assignments: str, values: dict[str, Any]) -> None:
        written = await execute(
            f"update job_runs set {assignments} where job_name = %(job)s and scope = %(scope)s"  # noqa: S608 - ours
            " and period = %(period)s and attempt = %(attempt)s and status = 'running'".encode(),
            {**values, "job": self.job_name, "scope": self.scope, "period": self.period, "attempt": self.attempt},
        )
        if not written:
            raise LeaseLost(f"run {self.job_id} has gone to another attempt")


_current: ContextVar[Run | None] = ContextVar("job_run", default=None)


def current_run() -> Run | None:
    """The run that this call belongs to; None where a job is called directly, without the ledger."""
    return _current.get()


async def claim(job_name: str, scope: str, period: str, *, force: bool = False) -> Run | JobResult:
    """Take a run, or learn why not: the result of a completed one, or of one that somebody else is running.

    What is failed, partial, skipped, or running without a live lease is taken over.

    Args:
        job_name: of the job.
        scope: whose.
        period: which.
        force: run again although it is completed.

    Raises:
        Unavailable: the database cannot tell now.
    """
    key = {"job": job_name, "scope": scope, "period": period}
    taken = await fetch_one(
        """
        insert into job_runs as r (job_name, scope, period, status, attempt, lease_until, started_at)
        values (%(job)s, %(scope)s, %(period)s, 'running', 1,
                clock_timestamp() + %(lease)s * interval '1 second', %(now)s)
        on conflict (job_name, scope, period) do update
            set status = 'running', attempt = r.attempt + 1, lease_until = excluded.lease_until,
                started_at = excluded.started_at, completed_at = null, error = null
            where r.status in ('failed', 'partial', 'skipped')
               or (r.status = 'running' and r.lease_until < clock_timestamp())
               or (r.status = 'completed' and %(force)s)
        returning attempt, cursor
        """,
        {**key, "lease": LEASE_SECONDS, "now": clock.now(), "force": force},
    )
    if taken is not None:
        return Run(job_name, scope, period, taken["attempt"], taken["cursor"])
    row = await fetch_one(
        """
        select status, attempt, result, error, started_at, completed_at from job_runs
        where job_name = %(job)s and scope = %(scope)s and period = %(period)s
        """,
        key,
    )
    if row is None:
        raise Unavailable("the run is gone; claim it again")
    return JobResult(
        job_id=f"{job_name}/{scope}/{period}",
        status=JobStatus(row["status"]),
        result=row["result"],
        error=row["error"] or "",
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        retries=row["attempt"] - 1,
    )


async def lease_left(job_name: str, scope: str, period: str) -> float:
    """Seconds until a running run may be taken over; 0 where nobody runs it."""
    row = await fetch_one(
        """
        select greatest(0, extract(epoch from lease_until - clock_timestamp()))::float as left from job_runs
        where job_name = %s and scope = %s and period = %s
        """,
        (job_name, scope, period),
    )
    return float(row["left"] or 0) if row else 0.0


@asynccontextmanager
async def leased(run: Run) -> AsyncIterator[None]:
    """Bind ``run`` as the current one and renew its lease; what is inside is cancelled once the lease is lost.

    Raises:
        LeaseLost: it was.
    """
    worker, lost = asyncio.current_task(), False

    async def renewing() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await run.renew()
            except LeaseLost:
                lost = True
                if worker is not None:
                    worker.cancel()
                return
            except Unavailable:  # the next renewal may succeed, and the lease lasts for three
                log.warning("the lease of %s could not be renewed", run.job_id)

    token = _current.set(run)
    heart = asyncio.create_task(renewing())
    try:
        yield
    except asyncio.CancelledError:
        if lost and worker is not None:
            worker.uncancel()
            raise LeaseLost(f"run {run.job_id} has gone to another attempt") from None
        raise
    finally:
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
        _current.reset(token)
