"""Datasets, tables and their rows, in one DuckDB file."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import duckdb

from common import clock, ids
from tools.local.bigquery import rows as checks
from tools.local.bigquery.errors import Refused, duplicate, invalid, invalid_query, not_found
from tools.local.bigquery.sql import Statement, arguments, translate
from tools.local.bigquery.types import from_duckdb, quoted, to_duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REMEMBERED_SECONDS = 60
"""That an insertId makes a repetition harmless; BigQuery promises about a minute."""
ROWS_AT_ONCE = 500
BYTES_PER_CELL = 8
"""What reading a cell is taken to cost: BigQuery bills by the width of the columns, which nobody here knows."""


class Store:
    """All of one local BigQuery; one caller at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = duckdb.connect(str(folder / "data.duckdb"))
        self._database.execute("set TimeZone = 'UTC'")
        self._database.execute("create schema if not exists _local")
        self._database.execute("create table if not exists _local.resources (name varchar primary key, resource json)")
        found = self._database.execute("select name, resource from _local.resources").fetchall()
        self._resources: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in found}
        self._seen: dict[tuple[str, str], float] = {}

    # --- datasets and tables

    def create_dataset(self, project: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a dataset."""
        name = body.get("datasetReference", {}).get("datasetId", "")
        if not name.replace("_", "").isalnum():
            raise invalid(f"Invalid dataset ID {name!r}")
        if f"{project}:{name}" in self._resources:
            raise duplicate(f"Dataset {project}:{name}")
        self._database.execute(f"create schema {_schema(project, name)}")
        resource = {**body, "kind": "bigquery#dataset", "id": f"{project}:{name}", "etag": ids.new_id()}
        return self._keep(f"{project}:{name}", {"location": "asia-south1", **resource})

    def dataset(self, project: str, name: str) -> dict[str, Any]:
        """A dataset's settings."""
        try:
            return self._resources[f"{project}:{name}"]
        except KeyError:
            raise not_found(f"Dataset {project}:{name}") from None

    def create_table(self, project: str, dataset: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a table."""
        self.dataset(project, dataset)
        name = body["tableReference"]["tableId"]
        key = f"{project}:{dataset}.{name}"
        if key in self._resources:
            raise duplicate(f"Table {key}")
        fields = body.get("schema", {}).get("fields", [])
        if not fields:
            raise invalid("a table needs a schema")
        columns = ", ".join(f"{quoted(field['name'])} {to_duckdb(field)}" for field in fields)
        self._database.execute(f"create table {_schema(project, dataset)}.{quoted(name)} ({columns})")
        resource = {**body, "kind": "bigquery#table", "id": key, "type": "TABLE", "etag": ids.new_id()}
        resource["creationTime"] = str(int(clock.now().timestamp() * 1000))
        return self._keep(key, resource)

    def table(self, project: str, dataset: str, name: str) -> dict[str, Any]:
        """A table's settings, and how many rows it has."""
        self.dataset(project, dataset)
        key = f"{project}:{dataset}.{name}"
        if key not in self._resources:
            raise not_found(f"Table {key}")
        return {**self._resources[key], "numRows": str(self._count(project, dataset, name))}

    def patch_table(
        self, project: str, dataset: str, name: str, body: Mapping[str, Any], etag: str | None
    ) -> dict[str, Any]:
        """Change settings and add columns; with ``etag``, only what it was read as."""
        table = self.table(project, dataset, name)
        if etag not in {None, "*", table["etag"]}:
            raise Refused(412, "conditionNotMet", "Precondition Failed")
        old = {field["name"]: field for field in table["schema"]["fields"]}
        new = body.get("schema", {}).get("fields", table["schema"]["fields"])
        if missing := old.keys() - {field["name"] for field in new}:
            raise invalid(f"Provided Schema does not match Table {table['id']}. Field {min(missing)} is missing")
        for field in new:
            if field["name"] not in old:
                if field.get("mode") == "REQUIRED":
                    raise invalid(f"Cannot add required fields to an existing schema. (field: {field['name']})")
                column = f"{quoted(field['name'])} {to_duckdb(field)}"
                self._database.execute(f"alter table {_schema(project, dataset)}.{quoted(name)} add column {column}")
        del table["numRows"]
        return self._keep(table["id"], {**table, **body, "etag": ids.new_id()})

    def delete_table(self, project: str, dataset: str, name: str) -> None:
        """Drop a table and its rows."""
        key = self.table(project, dataset, name)["id"]
        self._database.execute(f"drop table {_schema(project, dataset)}.{quoted(name)}")
        del self._resources[key]
        self._database.execute("delete from _local.resources where name = ?", [key])

    def tables(self, project: str, dataset: str) -> list[dict[str, Any]]:
        """Every table of a dataset."""
        self.dataset(project, dataset)
        return [found for key, found in sorted(self._resources.items()) if key.startswith(f"{project}:{dataset}.")]

    # --- rows

    def insert(
        self,
        at: tuple[str, str, str],
        rows: Sequence[Mapping[str, Any]],
        identities: Sequence[str | None],
        *,
        skip_invalid: bool,
    ) -> list[dict[str, Any]]:
        """Stream rows; the errors by row. Without ``skip_invalid`` one bad row stops all of them."""
        fields = self.table(*at)["schema"]["fields"]
        bad = {number: found for number, row in enumerate(rows) if (found := checks.errors(row, fields))}
        answer = [{"index": number, "errors": found} for number, found in bad.items()]
        if bad and not skip_invalid:
            stopped = [{"reason": "stopped", "location": "", "debugInfo": "", "message": ""}]
            return [*answer, *({"index": n, "errors": stopped} for n in range(len(rows)) if n not in bad)]
        good = [
            row
            for number, (row, identity) in enumerate(zip(rows, identities, strict=True))
            if number not in bad and not self._is_repeated(at, identity)
        ]
        self._append(at, good, fields)
        return answer

    def load(self, at: tuple[str, str, str], rows: Sequence[Mapping[str, Any]], *, replace: bool) -> int:
        """Write all rows, or none.

        Raises:
            Refused: one of them is wrong.
        """
        fields = self.table(*at)["schema"]["fields"]
        rows = [checks.loaded(row, fields) for row in rows]
        for number, row in enumerate(rows, 1):
            if found := checks.errors(row, fields):
                raise invalid(f"Error while reading data, error message: row {number}: {found[0]['message']}")
        if replace:
            self._database.execute(f"delete from {_name(at)}")  # noqa: S608 - quoted
        self._append(at, rows, fields)
        return len(rows)

    # --- statements

    def run(
        self, project: str, request: Mapping[str, Any]
    ) -> tuple[str, list[dict[str, Any]], list[tuple[Any, ...]], int | None, int]:
        """A statement's kind, columns, rows, changed rows, and the bytes that it reads.

        Raises:
            Refused: it is wrong, or would read more than its cap.
        """
        default = request.get("defaultDataset", {}).get("datasetId", "")
        statement = translate(request["query"], lambda dataset: f"{project}:{dataset or default}")
        size = self._check_tables(project, statement)
        cap = int(request.get("maximumBytesBilled") or 0)
        if cap and size > cap:
            raise Refused(
                400,
                "bytesBilledLimitExceeded",
                f"Query exceeded limit for bytes billed: {cap}. {size} or higher required.",
            )
        given = arguments(list(request.get("queryParameters", ())), statement)
        if request.get("dryRun"):
            return statement.kind, [], [], None, size
        try:
            cursor = self._database.execute(statement.sql, given or None)
        except duckdb.Error as error:
            raise invalid_query(str(error)) from None
        if statement.kind != "SELECT":
            changed = cursor.fetchone()
            return statement.kind, [], [], int(changed[0]) if changed else 0, size
        columns = [from_duckdb(column[0], column[1]) for column in cursor.description or ()]
        return statement.kind, columns, cursor.fetchall(), None, size

    def _check_tables(self, project: str, statement: Statement) -> int:
        size = 0
        for dataset, name in statement.tables:
            table = self.table(project, dataset, name)
            column = table.get("timePartitioning", {}).get("field", "")
            if table.get("requirePartitionFilter") and statement.kind != "INSERT" and column not in statement.bounded:
                raise invalid_query(
                    f"Cannot query over table '{dataset}.{name}' without a filter over column(s) '{column}' that can"
                    " be used for partition elimination"
                )
            size += int(table["numRows"]) * len(table["schema"]["fields"]) * BYTES_PER_CELL
        return size

    def _append(self, at: tuple[str, str, str], rows: Sequence[Mapping[str, Any]], fields: Sequence[Any]) -> None:
        marks = f"({', '.join(f'?::{to_duckdb(field)}' for field in fields)})"
        for start in range(0, len(rows), ROWS_AT_ONCE):  # one statement for many: DuckDB is slow at single rows
            given = [checks.values(row, fields) for row in rows[start : start + ROWS_AT_ONCE]]
            statement = f"insert into {_name(at)} values {', '.join([marks] * len(given))}"  # noqa: S608 - quoted
            self._database.execute(statement, [value for values in given for value in values])

    def _is_repeated(self, at: tuple[str, str, str], identity: str | None) -> bool:
        if not identity:
            return False
        now = time.monotonic()
        self._seen = {key: when for key, when in self._seen.items() if now - when < REMEMBERED_SECONDS}
        key = (":".join(at), identity)
        known = key in self._seen
        self._seen[key] = now
        return known

    def _count(self, project: str, dataset: str, name: str) -> int:
        statement = f"select count(*) from {_name((project, dataset, name))}"  # noqa: S608 - quoted
        found = self._database.execute(statement).fetchone()
        return int(found[0]) if found else 0

    def _keep(self, key: str, resource: dict[str, Any]) -> dict[str, Any]:
        self._resources[key] = resource
        self._database.execute("insert or replace into _local.resources values (?, ?)", [key, json.dumps(resource)])
        return resource

    def close(self) -> None:
        """Write everything to the file."""
        self._database.close()


def _schema(project: str, dataset: str) -> str:
    """Projects keep apart: tests have one each."""
    return quoted(f"{project}:{dataset}")


def _name(at: tuple[str, str, str]) -> str:
    return f"{_schema(at[0], at[1])}.{quoted(at[2])}"
