"""Deployed secrets, read from the environment: fixed for the life of an instance, replaced by a deployment."""

from __future__ import annotations

import os

MAX_VALUES = 16


def secret_values(name: str) -> tuple[str, ...]:
    """The live values of a secret, from the variable of the same name in capitals and underscores.

    A signing secret may hold several, one per line, while it is being rotated. An unset secret has none: callers fail
    closed.

    Example:
        >>> os.environ["PHONEPE_WEBHOOK_SECRETS"] = "new" + chr(10) + "old"
        >>> secret_values("phonepe-webhook-secrets")
        ('new', 'old')
    """
    lines = os.environ.get(name.upper().replace("-", "_"), "").splitlines()
    return tuple(value for line in lines if (value := line.strip()))[:MAX_VALUES]
