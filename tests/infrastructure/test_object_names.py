"""Names that mean what they say, wherever they end up."""

from __future__ import annotations

import pytest

from common.errors import InvalidInput
from common.infrastructure.object_names import check_path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "a\\..\\b",
        "a\nb",
        "a\x00",
        "a\u202eb",
        "\ud800",
        "x" * 1025,
        "ü" * 513,
    ],
)
def test_a_name_that_means_another_place_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        check_path(path)


@pytest.mark.parametrize(
    "path", ["a", "invoices/2026-27/RF-2026-27-00001.pdf", "ü 1/#?%&+.txt", "..a", "a..", "x" * 1024, "ü" * 512]
)
def test_other_names_are_accepted(path: str) -> None:
    check_path(path)
