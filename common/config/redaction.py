"""What no log line may say: what is called like a secret or a person, the deployment's secrets, people's addresses.

Code does not log them in the first place. This is the net below: it looks at names first and then at the whole line.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"
_CALLED = (
    *("secret", "token", "password", "authorization", "signature", "verify", "cookie", "otp"),
    *("vpa", "account", "email", "phone", "mobile", "gstin", "address", "full_name", "legal_name"),
)
_SECRET_VARIABLE = re.compile(r"(?:SECRETS?|TOKEN|PASSWORD|API_KEY|DATABASE_URL|REDIS_URL|WEBHOOK_URL)$")
_ADDRESS = re.compile(
    r"[A-Za-z0-9._%+-]{1,64}@(?![\w.-]*\.gserviceaccount\.com)[A-Za-z0-9][A-Za-z0-9.-]{0,190}[A-Za-z0-9]"
)
"""A mail address, or an address of the payment network (``name@bank``); machines' identities are none."""
_PHONE = re.compile(r"\+91[ -]?[6-9]\d{4}[ -]?\d{5}\b")
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_MIN_SECRET = 6
"""Characters; a shorter value would hide half of every line."""
_MAX_DEPTH = 16
_PLAIN = frozenset({str, int, bool, type(None)})
"""Most values: nothing in them is to be looked at."""
_MAPPINGS = (dict, Mapping)  # what is a dictionary is found out faster
_CONTAINERS = (list, tuple, *_MAPPINGS)
_IN_URL = re.compile(r"://[^:/?#@]*:(.+)@")
"""A password, also one that should have been escaped: ``urlsplit`` refuses those, and then no line could be written."""
_read_while_running: set[str] = set()


class Known(dict[str, Any]):
    """Fields, however deep, whose names are all the runtime's own: none of them has to be looked at."""


def redact(fields: Mapping[Any, Any], around: tuple[int, ...] = ()) -> dict[str, Any]:
    """The fields with the values of everything that is called like a secret or a person replaced, however deep.

    What comes back can be written as JSON: names are text, numbers finite, and what contains itself ends there.

    Args:
        fields: by their names.
        around: ids of what they stand in, from the outside; for what is nested.

    Example:
        >>> redact({"status": 204, "client_secret": "x"})
        {'status': 204, 'client_secret': '[redacted]'}
    """
    if type(fields) is Known:
        return fields
    made: dict[str, Any] = {}
    inside = (*around, id(fields))
    for key, value in fields.items():
        name = str(key)
        if _is_called_so(name):
            made[name] = REDACTED
        else:
            made[name] = value if type(value) in _PLAIN else _redacted(value, inside)
    return made


def scrub(line: str) -> str:
    """A whole line without the values of the deployment's secrets, and without people's addresses.

    Example:
        >>> scrub("mail to asha@example.in")
        'mail to [redacted]'
    """
    secrets = _secrets()
    if any(secret in line for secret in secrets):  # four times as fast as looking for all of them at once
        for secret in secrets:
            line = line.replace(secret, REDACTED)
    if "@" in line:
        line = _ADDRESS.sub(REDACTED, line)
    return _PHONE.sub(REDACTED, line) if "+91" in line else line


def read_secrets() -> None:
    """Look at the environment again; it is looked at once, since a deployment's does not change."""
    _secrets.cache_clear()


def hide(values: Iterable[str]) -> None:
    """Know these as secrets too: what is read while running stands in no variable."""
    if not _read_while_running.issuperset(values := set(values)):
        _read_while_running.update(values)
        _secrets.cache_clear()


def _redacted(value: Any, around: tuple[int, ...]) -> Any:
    if isinstance(value, _CONTAINERS):
        if id(value) in around:
            return "[itself]"
        if len(around) > _MAX_DEPTH:
            return "[too deep]"
        if isinstance(value, _MAPPINGS):
            return redact(value, around)
        return [_redacted(item, (*around, id(value))) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@functools.lru_cache(maxsize=512)  # the names are the code's own and few; looking at each cost a third of a line
def _is_called_so(key: str) -> bool:
    said = key.lower().replace("phonepe", "")  # a provider, and no phone
    return any(word in said for word in _CALLED)


@functools.cache
def _secrets() -> tuple[str, ...]:
    """Every value, as it may be spelled in a line; a longer one before those inside of it."""
    values = set(_read_while_running)
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name):
            for line in map(str.strip, value.splitlines()):
                values |= {line, *_inside(line)}
    spelled = {value for value in values if len(value) >= _MIN_SECRET}
    spelled |= {written(value)[1:-1] for value in spelled for written in (json.dumps, _ENCODER.encode, repr)}
    return tuple(sorted(spelled, key=len, reverse=True))


def _inside(value: str) -> set[str]:
    """The password in a URL; what follows the name in ``name:secret``."""
    if "://" in value:
        found = _IN_URL.search(value)
        password = found[1] if found else ""
        return {password, unquote(password)}
    return {value.partition(":")[2]}
