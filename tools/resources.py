"""The literals of ``common/functions/resources.py``, read without importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.imports import Graph

MODULE = "common.functions.resources"


@dataclass(frozen=True, slots=True)
class Literals:
    """See `common.functions.resources`; ``defaults_by_kind`` already contains ``defaults``."""

    defaults: dict[str, Any]
    defaults_by_kind: dict[str, dict[str, Any]]
    rate_classes: dict[str, dict[str, Any]]
    dead_letter_topic: str
    time_zone: str


def read_literals(graph: Graph) -> Literals:
    """Read them.

    Raises:
        LookupError: the file, or one of the names in it, is missing.
        ValueError: one of them is no literal.
    """
    source = graph.source(MODULE)
    constants = source.constants if source else {}
    values = {}
    for name in ("DEFAULTS", "DEFAULTS_BY_KIND", "RATE_CLASSES", "DEAD_LETTER_TOPIC", "TIME_ZONE"):
        if name not in constants:
            raise LookupError(f"{MODULE} has no {name}")
        values[name] = ast.literal_eval(constants[name])
    defaults = values["DEFAULTS"]
    return Literals(
        defaults=defaults,
        defaults_by_kind={kind: {**defaults, **own} for kind, own in values["DEFAULTS_BY_KIND"].items()},
        rate_classes=values["RATE_CLASSES"],
        dead_letter_topic=values["DEAD_LETTER_TOPIC"],
        time_zone=values["TIME_ZONE"],
    )
