"""A service that nobody answers for: each client says so within what is left of the invocation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from common.errors import Unavailable
from common.functions.deadline import within
from common.lifecycle import aclose_all
from tests.infrastructure.clients import CALLS, EMULATORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
async def _closed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    yield
    await aclose_all()


@pytest.mark.parametrize(("what", "variable"), EMULATORS.items())
async def test_a_dead_endpoint_fails_within_its_deadline(
    what: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1" if what in {"storage", "bigquery"} else "127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        async with within(0.5):
            await CALLS[what]()
    assert time.monotonic() - began < 10  # the libraries by themselves take 29 and more
