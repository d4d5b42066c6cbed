"""A mail's two bodies, from the templates beside this module; what goes into HTML is escaped."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render(kind: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """The HTML and the plain text.

    Raises:
        jinja2.UndefinedError: the context lacks something that the template shows.
    """
    return (
        _environment().get_template(f"{kind}.html").render(context),
        _environment().get_template(f"{kind}.txt").render(context),
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - for mail only

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
