"""Where the code runs, and what holds there for a setting that is not set (R66).

Light enough for a function's cold start; `common.config.settings` is the whole contract, and takes its defaults here.
"""

from __future__ import annotations

import os
from enum import StrEnum

from common.errors import Misconfigured


class Environment(StrEnum):
    """Where the code runs."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


_TALKATIVE = "INFO,common=DEBUG,functions=DEBUG"
DEFAULTS: dict[Environment, dict[str, str]] = {
    Environment.DEV: {"LOG_LEVEL": _TALKATIVE},  # whose PhonePe is the local cloud's: it says where
    Environment.STAGING: {
        "LOG_LEVEL": _TALKATIVE,
        "PHONEPE_BASE_URL": "https://api-preprod.phonepe.com/apis/pg-sandbox",
        "PHONEPE_AUTH_URL": "https://api-preprod.phonepe.com/apis/pg-sandbox/v1/oauth/token",
    },
    Environment.PROD: {
        "LOG_LEVEL": "INFO",
        "PHONEPE_BASE_URL": "https://api.phonepe.com/apis/pg",
        "PHONEPE_AUTH_URL": "https://api.phonepe.com/apis/identity-manager/v1/oauth/token",
    },
}
"""By environment: settings that differ between them. PhonePe's hosts are from its Standard Checkout reference."""


def environment() -> Environment:
    """Where this process runs: what ``ENVIRONMENT`` says, dev where it says nothing.

    Raises:
        Misconfigured: it says something else, which must not be taken for any of them.
    """
    said = os.environ.get("ENVIRONMENT") or Environment.DEV
    try:
        return Environment(said)
    except ValueError:
        raise Misconfigured(f"ENVIRONMENT must be one of {', '.join(Environment)}") from None


def setting(name: str) -> str:
    """A setting's value, or what holds in this environment while it is unset or empty; empty where nothing does.

    Raises:
        Misconfigured: see `environment`.

    Example:
        >>> os.environ["ENVIRONMENT"] = "staging"
        >>> setting("PHONEPE_BASE_URL")
        'https://api-preprod.phonepe.com/apis/pg-sandbox'
    """
    return os.environ.get(name) or DEFAULTS[environment()].get(name, "")
