"""Rows in JSON, checked as BigQuery does: every error of a row, with the column that it is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tools.local.bigquery.types import from_json, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Field = Mapping[str, Any]


def errors(row: Mapping[str, Any], fields: Sequence[Field], prefix: str = "") -> list[dict[str, str]]:
    """What is wrong with a row; empty for nothing."""
    known = {field["name"] for field in fields}
    found = [_error(prefix + name, f"no such field: {prefix + name}.") for name in row if name not in known]
    for field in fields:
        found += _field_errors(row.get(field["name"]), field, prefix + field["name"])
    return found


def loaded(row: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """A load job's row as a streamed one: text in a JSON column is a JSON string there, JSON here."""
    raw = {field["name"] for field in fields if kind_of(field) == "JSON"}
    return {name: json.dumps(value) if name in raw and value is not None else value for name, value in row.items()}


def values(row: Mapping[str, Any], fields: Sequence[Field]) -> list[Any]:
    """A row's values in the order of the columns, as DuckDB takes them."""
    return [_value(row.get(field["name"]), field) for field in fields]


def _field_errors(value: Any, field: Field, name: str) -> Iterator[dict[str, str]]:
    if field.get("mode") == "REPEATED":
        if value is not None and not isinstance(value, list):
            yield _error(name, "Array specified for non-repeated field.")
            return
        for item in value or ():
            yield from _field_errors(item, {**field, "mode": "REQUIRED"}, name)
        return
    if value is None:
        if field.get("mode") == "REQUIRED":
            yield _error(name, f"Missing required field: {name}.")
        return
    if kind_of(field) == "RECORD":
        if isinstance(value, dict):
            yield from errors(value, field["fields"], f"{name}.")
        else:
            yield _error(name, "This field is a record.")
        return
    try:
        from_json(value, field)
    except ValueError as error:
        yield _error(name, str(error))


def _value(value: Any, field: Field) -> Any:
    if field.get("mode") == "REPEATED":
        one = {**field, "mode": "NULLABLE"}
        return [_value(item, one) for item in value or ()]
    if kind_of(field) == "RECORD" and value is not None:
        return {part["name"]: _value(value.get(part["name"]), part) for part in field["fields"]}
    return from_json(value, field)


def _error(location: str, message: str) -> dict[str, str]:
    return {"reason": "invalid", "location": location, "debugInfo": "", "message": message}
