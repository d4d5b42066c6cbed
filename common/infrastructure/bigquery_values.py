"""Python's values in BigQuery: as parameters of a query, and as JSON of a row."""

from __future__ import annotations

import base64
import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from common.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

Scalar: TypeAlias = "bool | int | float | Decimal | str | bytes | datetime | date"
Parameter: TypeAlias = "Scalar | Sequence[Scalar]"

MAX_INTEGER = 2**63
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),  # before int, of which it is one
    (int, "INT64"),
    (float, "FLOAT64"),
    (Decimal, "NUMERIC"),
    (str, "STRING"),
    (bytes, "BYTES"),
    (datetime, "TIMESTAMP"),  # before date, of which it is one
    (date, "DATE"),
)


def parameters(values: Mapping[str, Parameter]) -> list[ScalarQueryParameter | ArrayQueryParameter]:
    """Named parameters: ``{"since": datetime}`` for ``@since``.

    Raises:
        InvalidInput: a value is of another type, an empty list, a list of different types, not finite, or naive.
    """
    from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter  # noqa: PLC0415 - loaded by then

    made: list[ScalarQueryParameter | ArrayQueryParameter] = []
    for name, value in values.items():
        if isinstance(value, list | tuple):
            kinds = {_kind(name, item) for item in value}
            if len(kinds) != 1:
                raise InvalidInput(f"the list @{name} needs values of one type; leave the condition out for none")
            made.append(ArrayQueryParameter(name, kinds.pop(), list(value)))
        else:
            made.append(ScalarQueryParameter(name, _kind(name, value), cast("Any", value)))
    return made


def to_json(row: Mapping[str, Any], *, json_as_text: bool = True) -> dict[str, Any]:
    """A row as BigQuery takes it in JSON: numbers that must stay exact as text, times with their zone.

    Args:
        row: by column.
        json_as_text: a JSON column's value as text, for streaming; otherwise as it is, for load jobs, which would
            store the text as a JSON string. Source: "A field that is declared as JSON type is loaded with the raw JSON
            values", https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json

    Raises:
        InvalidInput: a value has no one way to be written; the message names its column.
    """
    return {column: _json(column, value, as_text=json_as_text) for column, value in row.items()}


def _json(column: str, value: Any, *, as_text: bool) -> Any:
    if isinstance(value, dict):
        try:
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{column} must be JSON ({error})") from None
        return text if as_text else value
    if isinstance(value, list | tuple):
        return [_json(column, item, as_text=as_text) for item in value]
    if value is None or isinstance(value, bool):
        return value
    kind = _kind(column, value)
    if kind == "BYTES":
        return base64.b64encode(value).decode()
    if kind in {"TIMESTAMP", "DATE"}:
        return value.isoformat()
    return str(value) if kind in {"INT64", "NUMERIC"} else value


def _kind(name: str, value: Any) -> str:
    kind = next((kind for type_, kind in _KINDS if isinstance(value, type_)), None)
    if kind is None:
        raise InvalidInput(f"{name} cannot be a {type(value).__name__}; compare with IS NULL in the query for None")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise InvalidInput(f"{name} must be a finite number")
    if kind == "INT64" and not -MAX_INTEGER <= value < MAX_INTEGER:
        raise InvalidInput(f"{name} must fit into 64 bits")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidInput(f"{name} needs a time zone")
    return kind
