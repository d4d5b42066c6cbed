"""A task's arguments, held to the function's annotations."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidInput
from common.jobs.deliveries import bind


async def index_job(
    workspace_id: str, types: list[str] | None = None, limits: dict[str, int] | None = None, anything: Any = None
) -> None:
    """A job with every sort of argument that JSON has."""


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"types": ["icp", "move"]},
        {"types": None, "limits": {"pages": 3}},
        {"anything": 1.5},
    ],
)
def test_what_json_has_is_bound(more: dict[str, Any]) -> None:
    arguments = {"workspace_id": "w1", **more}
    assert bind(index_job, arguments) == arguments


@pytest.mark.parametrize("more", [{"types": "icp"}, {"types": {"icp": 1}}, {"limits": []}, {"workspace_id": ["w1"]}])
def test_another_type_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="wrong type"):
        bind(index_job, {"workspace_id": "w1", **more})
