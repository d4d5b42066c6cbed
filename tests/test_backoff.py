"""Pauses between tries."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from common.backoff import pauses

if TYPE_CHECKING:
    import pytest


def test_the_bound_doubles_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _least, most: most)
    assert list(islice(pauses(0.1, 1.0), 6)) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert list(islice(pauses(5.0, 1.0), 2)) == [1.0, 1.0]


def test_pauses_spread_over_all_of_it() -> None:
    found = list(islice(pauses(1.0, 1.0), 500))
    assert all(0 <= pause <= 1 for pause in found)
    assert min(found) < 0.1
    assert max(found) > 0.9
