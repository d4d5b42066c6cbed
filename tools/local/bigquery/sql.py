"""Statements of BigQuery in DuckDB's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from tools.local.bigquery.errors import invalid_query
from tools.local.bigquery.types import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DML = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        kind: SELECT, INSERT, UPDATE, DELETE or MERGE.
        sql: for DuckDB.
        tables: dataset and table of all that it names.
        bounded: the columns that some condition compares with something.
        parameters: the names that it uses.
    """

    kind: str
    sql: str
    tables: frozenset[tuple[str, str]]
    bounded: frozenset[str]
    parameters: frozenset[str]


def translate(text: str, schema_of: Callable[[str], str]) -> Statement:
    """The one statement in ``text``; ``schema_of`` says where a dataset lies, and the default one for an empty name.

    Raises:
        Refused: it cannot be read, is none that is allowed, or there are several.
    """
    try:
        trees = [tree for tree in sqlglot.parse(text, read="bigquery") if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        raise invalid_query(f"Syntax error: {error}") from None
    if len(trees) != 1:
        raise invalid_query("the local BigQuery runs one statement at a time")
    (tree,) = trees
    if not isinstance(tree, exp.Query | exp.Insert | exp.Update | exp.Delete | exp.Merge):
        raise invalid_query(f"Syntax error: Unexpected {text.split(None, 1)[0][:30]!r}")
    tables = frozenset(_tables(tree, schema_of))
    parameters = frozenset(found.name for found in tree.find_all(exp.Parameter))
    return Statement(
        _kind(tree), tree.transform(_rewrite).sql(dialect="duckdb"), tables, frozenset(_bounded(tree)), parameters
    )


def arguments(given: list[Mapping[str, Any]], statement: Statement) -> dict[str, Any]:
    """The named parameters that a statement uses.

    Raises:
        Refused: one is missing, positional, or not of its type.
    """
    found: dict[str, Any] = {}
    for parameter in given:
        name = parameter.get("name")
        if not name:
            raise invalid_query("the local BigQuery takes named parameters only")
        try:
            found[name] = _argument(parameter["parameterType"], parameter["parameterValue"])
        except ValueError as error:
            raise invalid_query(f"query parameter {name!r}: {error}") from None
    missing = statement.parameters - found.keys()
    if missing:
        raise invalid_query(f"Query parameter '{min(missing)}' not found")
    return {name: value for name, value in found.items() if name in statement.parameters}


def _argument(kind: Mapping[str, Any], value: Mapping[str, Any]) -> Any:
    if kind["type"] == "ARRAY":
        return [_argument(kind["arrayType"], item) for item in value.get("arrayValues", ())]
    return from_json(value.get("value"), kind)


def _tables(tree: exp.Expr, schema_of: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    shared = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not table.name or (table.name in shared and not table.db):
            continue
        schema = schema_of(table.db)
        dataset = schema.rpartition(":")[2]
        if not dataset:
            raise invalid_query(f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).')
        table.set("catalog", None)
        table.set("db", exp.to_identifier(schema, quoted=True))
        yield dataset, table.name


def _kind(tree: exp.Expr) -> str:
    return type(tree).__name__.upper() if isinstance(tree, _DML) else "SELECT"


def _bounded(tree: exp.Expr) -> Iterator[str]:
    """Names of the columns that some condition compares with something."""
    for condition in tree.find_all(exp.GT, exp.GTE, exp.LT, exp.LTE, exp.EQ, exp.Between, exp.In):
        yield from (column.name for column in condition.find_all(exp.Column))


def _rewrite(node: exp.Expr) -> exp.Expr:
    """What sqlglot leaves as it is and DuckDB calls otherwise."""
    if isinstance(node, exp.JSONValue):
        return exp.Anonymous(this="json_extract_string", expressions=[node.this, node.args["path"]])
    if isinstance(node, exp.Anonymous) and node.name.upper() == "APPROX_QUANTILES":
        number = int(node.expressions[1].name)
        steps = ", ".join(str(step / number) for step in range(number + 1))
        return exp.Anonymous(
            this="quantile_disc", expressions=[node.expressions[0], sqlglot.parse_one(f"[{steps}]", read="duckdb")]
        )
    return node
