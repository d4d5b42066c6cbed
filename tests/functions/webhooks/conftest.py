"""PhonePe's URL in either mode of authorisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.stack import Stack


@pytest.fixture
def hmac_mode(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("PHONEPE_WEBHOOK_MODE", "hmac")
    monkeypatch.setenv("PHONEPE_WEBHOOK_SECRETS", "k1:old\nk2:new\n")
    return stack


@pytest.fixture
def basic_mode(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("PHONEPE_WEBHOOK_MODE", "basic")
    monkeypatch.setenv("PHONEPE_WEBHOOK_SECRETS", "founder:password1\nfounder:password2\n")
    return stack
