"""A job for tests, and the ledger's row of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.functions import serve
from common.functions.testing import Result, invoke, task_event
from common.jobs import job
from common.jobs.models import Returned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack import Stack


class Counting:
    """A job that does what a test gives it, and counts."""

    def __init__(self, *work: Any, retries: int = 3, timeout: int = 60) -> None:
        self.calls: list[Mapping[str, Any]] = []
        self._work = list(work)

        @job("count", retries=retries, timeout=timeout)
        async def count_job(workspace_id: str, amount: int = 1, note: str | None = None) -> Returned:
            self.calls.append({"workspace_id": workspace_id, "amount": amount, "note": note})
            does = self._work[min(len(self.calls), len(self._work)) - 1] if self._work else {"counted": 1}
            if isinstance(does, BaseException):
                raise does
            result: Returned = await does() if callable(does) else does
            return result

        self.direct, self.main = count_job, serve(count_job)

    async def task(
        self, *, retry_count: int = 0, scope: str = "w1", period: str = "2026-11", **arguments: Any
    ) -> Result:
        return await invoke(
            self.main,
            task_event(
                "count",
                scope=scope,
                period=period,
                arguments={"workspace_id": "w1", **arguments},
                retry_count=retry_count,
                name="task-1",
            ),
        )


def row(stack: Stack) -> dict[str, Any]:
    (found,) = stack.rows("select * from job_runs")
    return found
