"""Jobs: queries and loads, done at once, kept under their ids, their results read page by page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common import clock, ids
from tools.local.bigquery.errors import Refused, duplicate, not_found
from tools.local.bigquery.types import cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.local.bigquery.store import Store

PAGE_ROWS = 10_000
LOCATION = "asia-south1"


@dataclass(slots=True)
class Job:
    """One job, done or failed.

    Attributes:
        id: chosen by the caller, or made.
        configuration: as it was asked for.
        kind: of the statement; LOAD.
        fields: the result's columns.
        rows: the result.
        changed: rows that a statement changed, or a load wrote; None for a query.
        size: bytes read.
        failure: why it failed.
    """

    id: str
    configuration: Mapping[str, Any]
    kind: str = ""
    fields: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    changed: int | None = None
    size: int = 0
    failure: Refused | None = None

    def resource(self, project: str) -> dict[str, Any]:
        """What ``jobs.get`` answers."""
        now = str(int(clock.now().timestamp() * 1000))
        status: dict[str, Any] = {"state": "DONE"}
        if self.failure is not None:
            status |= {"errorResult": self.failure.detail(), "errors": [self.failure.detail()]}
        size = str(self.size)
        statistics: dict[str, Any] = {
            "creationTime": now,
            "startTime": now,
            "endTime": now,
            "totalBytesProcessed": size,
        }
        if self.kind == "LOAD":
            statistics["load"] = {"outputRows": str(self.changed or 0)}
        else:
            query = {"statementType": self.kind, "totalBytesProcessed": size, "totalBytesBilled": size}
            changed = {} if self.changed is None else {"numDmlAffectedRows": str(self.changed)}
            statistics["query"] = {**query, **changed}
        return {
            "kind": "bigquery#job",
            "id": f"{project}:{LOCATION}.{self.id}",
            "jobReference": {"projectId": project, "jobId": self.id, "location": LOCATION},
            "configuration": dict(self.configuration),
            "status": status,
            "statistics": statistics,
        }


class Jobs:
    """The jobs of every project."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: dict[tuple[str, str], Job] = {}

    def query(self, project: str, request: Mapping[str, Any], configuration: Mapping[str, Any], id: str = "") -> Job:  # noqa: A002
        """Run a statement as a job."""
        job = self._new(project, id, configuration)
        try:
            job.kind, job.fields, job.rows, job.changed, job.size = self._store.run(project, request)
        except Refused as refused:
            job.failure = refused
        return job

    def load(self, project: str, body: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Job:
        """Write rows as a job."""
        configuration = body["configuration"]
        job = self._new(project, body.get("jobReference", {}).get("jobId", ""), configuration)
        job.kind = "LOAD"
        asked = configuration["load"]
        target = asked["destinationTable"]
        at = (target["projectId"], target["datasetId"], target["tableId"])
        try:
            job.changed = self._store.load(at, rows, replace=asked.get("writeDisposition") == "WRITE_TRUNCATE")
        except Refused as refused:
            job.failure = refused
        return job

    def get(self, project: str, id: str) -> Job:  # noqa: A002
        """A job.

        Raises:
            Refused: there is none of that id.
        """
        try:
            return self._jobs[project, id]
        except KeyError:
            raise not_found(f"Job {project}:{id}") from None

    def results(self, project: str, id: str, asked: Mapping[str, str]) -> dict[str, Any]:  # noqa: A002
        """A page of a query's result.

        Raises:
            Refused: the job failed, or there is none.
        """
        job = self.get(project, id)
        if job.failure is not None:
            raise job.failure
        start = int(asked.get("pageToken") or 0)
        count = int(asked.get("maxResults") or PAGE_ROWS)
        integers = asked.get("formatOptions.useInt64Timestamp", "false").lower() == "true"
        page = job.rows[start : start + count]
        answer: dict[str, Any] = {
            "kind": "bigquery#queryResponse",
            "jobComplete": True,
            "jobReference": {"projectId": project, "jobId": job.id, "location": LOCATION},
            "schema": {"fields": job.fields},
            "totalRows": str(len(job.rows)),
            "rows": [cells(row, job.fields, integers=integers) for row in page],
            "totalBytesProcessed": str(job.size),
            "cacheHit": False,
        }
        if job.changed is not None:
            answer["numDmlAffectedRows"] = str(job.changed)
        if start + count < len(job.rows):
            answer["pageToken"] = str(start + count)
        return answer

    def _new(self, project: str, id: str, configuration: Mapping[str, Any]) -> Job:  # noqa: A002
        id = id or f"job_{ids.new_id()}"  # noqa: A001
        if (project, id) in self._jobs:
            raise duplicate(f"Job {project}:{LOCATION}.{id}")
        job = Job(id, configuration)
        self._jobs[project, id] = job
        return job
