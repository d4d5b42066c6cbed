"""BigQuery (R30): what is asked with parameters, within a cap, and written exactly once.

The official library is synchronous, so each call runs in a thread, within the invocation's deadline (`call_blocking`).

    load_rows    a load job whose id follows from the rows: sent twice, it is done once. For summaries and back-fill
    insert_rows  streamed, visible at once; BigQuery forgets an id after about a minute, so a late copy is a second row
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidInput, Unavailable
from common.ids import new_id
from common.infrastructure.bigquery_rows import BadRow, PartlyInserted
from common.infrastructure.bigquery_schemas import DATASET, TableSchema
from common.infrastructure.bigquery_values import Parameter, parameters, to_json
from common.infrastructure.calls import call_blocking
from common.infrastructure.endpoints import emulator
from common.infrastructure.gcp import GCPClient
from common.lifecycle import per_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from google.cloud.bigquery import Client
    from google.cloud.bigquery.table import RowIterator

QUERY_SECONDS = 60.0
WRITE_SECONDS = 30.0
MAX_BYTES_BILLED = 1_000_000_000
"""Of one query where the caller says nothing: a gigabyte, about half a rupee."""
MAX_BATCH_ROWS = 500
"""Of one streaming request; BigQuery's advice, its limit is 50,000."""
PAGE_ROWS = 1_000
LOAD_ATTEMPTS = 20
"""Jobs that may fail for one key: a job that failed keeps its id, so that each call after it takes the next one."""
_TABLE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,1023}\.)?[A-Za-z_][A-Za-z0-9_]{0,1023}")


class BigQueryClient:
    """Our dataset; one per process and event loop, see `bigquery_client`.

    ``table`` is ``table`` of `DATASET` or ``dataset.table``.

    Example:
        >>> sql = "select sum(cost_usd) as cost from raptorflow_analytics.usage_events where created_at >= @since"
        >>> await bigquery_client().execute_query(sql, {"since": month_start})
        [{'cost': Decimal('12.5')}]
    """

    def __init__(self) -> None:
        self._project = GCPClient().get_project_id()

    async def execute_query(
        self,
        query: str,
        params: Mapping[str, Parameter] | None = None,
        *,
        max_bytes: int = MAX_BYTES_BILLED,
    ) -> list[dict[str, Any]]:
        """Run a statement and return its rows, all of them: for results that fit into memory.

        Args:
            query: standard SQL; values are ``@named`` parameters, never part of the text.
            params: by name.
            max_bytes: a query that would read more is refused before it costs anything.

        Raises:
            InvalidInput: the query, a parameter, or what it would read is refused.
            NotFound: a table is not there.
            PermissionDenied: our service account may not.
            Unavailable: there was no answer in time.
        """
        return [row async for row in self.stream_query(query, params, max_bytes=max_bytes)]

    async def stream_query(
        self,
        query: str,
        params: Mapping[str, Parameter] | None = None,
        *,
        max_bytes: int = MAX_BYTES_BILLED,
        page_rows: int = PAGE_ROWS,
    ) -> AsyncIterator[dict[str, Any]]:
        """`execute_query`, a page at a time: memory holds one page, however many rows there are."""

        def ask(seconds: float, retry: Any) -> RowIterator:
            from google.cloud.bigquery import QueryJobConfig  # noqa: PLC0415

            config = QueryJobConfig(query_parameters=parameters(params or {}), maximum_bytes_billed=max_bytes)
            return self._client.query_and_wait(
                query,
                job_config=config,
                api_timeout=seconds,
                wait_timeout=seconds,
                retry=retry,
                job_retry=None,  # type: ignore[arg-type] # theirs takes None, and says so in its documentation
                page_size=page_rows,
            )

        pages = (await call_blocking("querying BigQuery", ask, seconds=QUERY_SECONDS)).pages
        while (page := await call_blocking("reading from BigQuery", _next(pages), seconds=QUERY_SECONDS)) is not None:
            for row in page:
                yield row

    async def insert_rows(
        self, table: str, rows: Sequence[Mapping[str, Any]], *, id_column: str | None = None
    ) -> list[BadRow]:
        """Stream rows into a table; those that are wrong are told, the others are in.

        Args:
            table: see the class.
            rows: by column.
            id_column: whose value makes a repetition within about a minute harmless; without it only this call's own
                repetitions are.

        Raises:
            InvalidInput: a value cannot be written, or the table's name cannot be.
            NotFound: there is no such table.
            PermissionDenied, Unavailable: see `execute_query`; with Unavailable, rows of the first request may be in.
            PartlyInserted: a later request failed, one has `MAX_BATCH_ROWS`; it tells which rows are in, and all that
                were refused.
        """
        target = self._reference(table)
        if id_column and any(not row.get(id_column) for row in rows):
            raise InvalidInput(f"every row needs {id_column}, by which copies are told")
        sent = [to_json(row) for row in rows]
        bad: list[BadRow] = []
        for start in range(0, len(sent), MAX_BATCH_ROWS):
            batch = sent[start : start + MAX_BATCH_ROWS]
            identities = [str(row[id_column]) if id_column else new_id() for row in batch]
            insert = functools.partial(self._insert, target, batch, identities)
            try:
                answered = await call_blocking("inserting into BigQuery", insert, seconds=WRITE_SECONDS)
            except Exception as error:
                if start == 0:
                    raise
                raise PartlyInserted(bad, start, start + len(batch)) from error
            bad += [BadRow.of(start, one) for one in answered]
        return bad

    async def load_rows(self, table: str, rows: Sequence[Mapping[str, Any]], *, key: str) -> int:
        """Append rows exactly once for each ``key``, by a load job whose id is made of it; how many rows it wrote.

        All rows are in, or none. Called again with the same key it finds the job and waits for that, so the rows of
        one key must be the same each time.

        Args:
            table: see the class.
            rows: by column.
            key: what is loaded, ``"daily_usage/2026-11-24"``.

        Raises:
            InvalidInput: a row is refused; nothing was written.
            NotFound, PermissionDenied, Unavailable: see `execute_query`; call again with the same key.
        """
        target = self._reference(table)
        # A load job takes a JSON column's value as it is, a streamed row as text.
        sent = [to_json(row, json_as_text=False) for row in rows]
        digest = hashlib.sha256(json.dumps([target, key]).encode()).hexdigest()[:32]
        refused = ""
        for attempt in range(1, LOAD_ATTEMPTS + 1):
            load = functools.partial(self._load, target, sent, f"load-{digest}-{attempt}")
            written, refused, is_new = await call_blocking("loading into BigQuery", load, seconds=QUERY_SECONDS)
            if not refused:
                return written
            if is_new:  # one job a call: an outage must not use up the key's ids. Earlier refusals may be mended by now
                if refused.startswith("invalid"):
                    raise InvalidInput(f"BigQuery refuses the rows: {refused}")
                raise Unavailable(f"loading into BigQuery failed, call again: {refused}")
        raise InvalidInput(f"{LOAD_ATTEMPTS} loads of this key failed, the last with {refused}: take another key")

    async def create_table_if_not_exists(self, table: str, schema: TableSchema) -> bool:
        """Make a table, or add the columns that it lacks; whether anything was done. Safe to repeat, also at once.

        Columns are only ever added, and are nullable then, since there are rows without them.

        Raises:
            InvalidInput: a column is there with another type.
            NotFound: there is no such dataset.
            PermissionDenied, Unavailable: see `execute_query`.
        """
        target = self._reference(table)

        def create(seconds: float, retry: Any) -> bool:
            from common.infrastructure.bigquery_tables import create_or_complete  # noqa: PLC0415 - imports the library

            return create_or_complete(self._client, target, schema, retry=retry, timeout=seconds)

        return await call_blocking("creating a table", create, seconds=WRITE_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.close()  # type: ignore[no-untyped-call] # the library's

    # --- in a thread

    @functools.cached_property
    def _client(self) -> Client:
        from google.cloud.bigquery import Client  # noqa: PLC0415 - at the first call

        if emulator("BIGQUERY_EMULATOR_HOST"):  # which the library reads by itself; refused where deployed
            from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

            return Client(project=self._project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        return Client(project=self._project, location=GCPClient().get_region())

    def _reference(self, table: str) -> str:
        if not _TABLE.fullmatch(table):
            raise InvalidInput(f"not a table: {table[:100]!r}; write table or dataset.table")
        return f"{self._project}.{table if '.' in table else f'{_dataset()}.{table}'}"

    def _insert(
        self, target: str, rows: list[dict[str, Any]], ids: list[str], seconds: float, retry: Any
    ) -> Sequence[dict[str, Any]]:
        return self._client.insert_rows_json(
            target,
            rows,
            row_ids=ids,
            skip_invalid_rows=True,
            retry=retry,
            timeout=seconds,
        )

    def _load(
        self, target: str, rows: list[dict[str, Any]], job_id: str, seconds: float, retry: Any
    ) -> tuple[int, str, bool]:
        """Rows written, or why not, and whether this call made the job: an earlier one may have."""
        from google.api_core.exceptions import Conflict, GoogleAPICallError  # noqa: PLC0415
        from google.cloud.bigquery import LoadJobConfig, SourceFormat  # noqa: PLC0415

        config = LoadJobConfig(
            schema=self._client.get_table(target, retry=retry, timeout=seconds).schema,
            source_format=SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition="WRITE_APPEND",
            create_disposition="CREATE_NEVER",
        )
        is_new = True
        try:
            job: Any = self._client.load_table_from_json(
                rows, target, num_retries=0, job_id=job_id, job_config=config, timeout=seconds
            )
        except Conflict:
            job, is_new = self._client.get_job(job_id, retry=retry, timeout=seconds), False
        try:
            job.result(retry=retry, timeout=seconds)
        except GoogleAPICallError:
            failure = job.error_result or {}
            if not failure:
                raise  # not the job's: we could not ask
            return 0, f"{failure.get('reason', 'failed')}: {str(failure.get('message', ''))[:200]}", is_new
        return int(job.output_rows or 0), "", is_new


@per_loop
def bigquery_client() -> BigQueryClient:
    """The client of this process and event loop."""
    return BigQueryClient()


def _dataset() -> str:
    return os.environ.get("BIGQUERY_DATASET") or DATASET


def _next(pages: Any) -> Any:
    def read(_seconds: float, _retry: Any) -> list[dict[str, Any]] | None:
        page = next(pages, None)
        return None if page is None else [dict(row.items()) for row in page]

    return read
