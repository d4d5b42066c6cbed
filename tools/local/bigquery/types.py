"""BigQuery's types and DuckDB's, both ways, and values as they stand in answers."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tools.local.bigquery.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Field = Mapping[str, Any]

_ALIASES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}
_TO_DUCKDB = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": "DECIMAL(38,18)",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMPTZ",
    "DATETIME": "TIMESTAMP",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
}
_FROM_DUCKDB = {
    "varchar": "STRING",
    "blob": "BYTES",
    "double": "FLOAT",
    "float": "FLOAT",
    "decimal": "NUMERIC",
    "boolean": "BOOLEAN",
    "timestamp with time zone": "TIMESTAMP",
    "timestamp": "DATETIME",
    "date": "DATE",
    "time": "TIME",
    "json": "JSON",
}


def kind_of(field: Field) -> str:
    """A field's type in its one name: INT64 and INTEGER are the same.

    Raises:
        Refused: there is no such type.
    """
    kind = str(field.get("type", "")).upper()
    kind = _ALIASES.get(kind, kind)
    if kind not in _TO_DUCKDB and kind != "RECORD":
        raise invalid(f"{kind or 'nothing'} is not a type that the local BigQuery knows")
    return kind


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def to_duckdb(field: Field) -> str:
    """The type of a column."""
    kind = kind_of(field)
    if kind == "RECORD":
        inside = ", ".join(f"{quoted(part['name'])} {to_duckdb(part)}" for part in field["fields"])
        kind = f"STRUCT({inside})"
    else:
        kind = _TO_DUCKDB[kind]
    return f"{kind}[]" if field.get("mode") == "REPEATED" else kind


def from_duckdb(name: str, of: Any) -> dict[str, Any]:
    """The field of a result's column; ``of`` is DuckDB's own description of a type."""
    if of.id == "list":
        return {**from_duckdb(name, of.children[0][1]), "mode": "REPEATED"}
    if of.id == "struct":
        parts = [from_duckdb(part, inside) for part, inside in of.children]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": parts}
    told = "json" if str(of) == "JSON" else of.id
    kind = _FROM_DUCKDB.get(told, "INTEGER" if "int" in told else "STRING")
    return {"name": name, "type": kind, "mode": "NULLABLE"}


def cells(row: Iterable[Any], fields: Iterable[Field], *, integers: bool) -> dict[str, Any]:
    """A row of an answer; ``integers`` asks for timestamps in microseconds rather than as floats of seconds."""
    return {"f": [{"v": _shown(value, field, integers=integers)} for value, field in zip(row, fields, strict=True)]}


def _shown(value: Any, field: Field, *, integers: bool) -> Any:
    if field.get("mode") == "REPEATED":
        one = {**field, "mode": "NULLABLE"}
        return [{"v": _shown(item, one, integers=integers)} for item in value or ()]
    if value is None:
        return None
    kind = kind_of(field)
    if kind == "RECORD":
        return cells((value[part["name"]] for part in field["fields"]), field["fields"], integers=integers)
    if kind == "TIMESTAMP":
        microseconds = round(value.timestamp() * 1_000_000)
        return str(microseconds) if integers else repr(microseconds / 1e6)
    return _SHOWN.get(kind, _plain)(value)


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


_SHOWN: dict[str, Callable[[Any], str]] = {
    "BOOLEAN": lambda value: "true" if value else "false",
    "BYTES": lambda value: base64.b64encode(bytes(value)).decode(),
    "DATETIME": lambda value: str(value.isoformat()),
    "DATE": lambda value: str(value.isoformat()),
    "TIME": lambda value: str(value.isoformat()),
    "NUMERIC": lambda value: format(Decimal(value).normalize(), "f"),
}


def from_json(value: Any, field: Field) -> Any:
    """A value as DuckDB takes it, from a row or a parameter in JSON.

    Raises:
        ValueError: it is not of the field's type; the message says so in BigQuery's words.
    """
    if value is None:
        return None
    kind = kind_of(field)
    try:
        read: Callable[[Any], Any] = _READ.get(kind, _text)
        return read(value)
    except (ValueError, ArithmeticError, KeyError, TypeError):
        raise ValueError(f"Cannot convert value to {kind.lower()} (bad value): {str(value)[:100]}") from None


def _integer(value: Any) -> int:
    if isinstance(value, bool | float) and not float(value).is_integer():
        raise ValueError(value)
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise TypeError(value)
    return str(value)


def _json_text(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    json.loads(value)
    return value


def _instant(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    instant = datetime.fromisoformat(str(value).replace(" UTC", "+00:00"))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


_READ: dict[str, Callable[[Any], Any]] = {
    "INTEGER": _integer,
    "FLOAT": float,
    "NUMERIC": lambda value: Decimal(str(value)),
    "BIGNUMERIC": lambda value: Decimal(str(value)),
    "BOOLEAN": lambda value: {"true": True, "false": False}[str(value).lower()],
    "TIMESTAMP": _instant,
    "DATETIME": datetime.fromisoformat,
    "DATE": date.fromisoformat,
    "BYTES": lambda value: base64.b64decode(value, validate=True),
    "JSON": _json_text,
}
