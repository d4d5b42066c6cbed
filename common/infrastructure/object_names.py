"""Which names our objects may have."""

from __future__ import annotations

from common.errors import InvalidInput

MAX_NAME_BYTES = 1024
"""Cloud Storage's limit, in UTF-8."""


def check_path(path: str) -> None:
    """Whether ``path`` may be an object's name: never one that means another place once it is a file or a URL.

    Raises:
        InvalidInput: empty, longer than 1,024 bytes, absolute, with control characters or backslashes, or with an
            empty part, ``.`` or ``..`` between its slashes.

    Example:
        >>> check_path("invoices/2026-27/RF-2026-27-00001.pdf")
    """
    if not 1 <= len(path.encode(errors="surrogatepass")) <= MAX_NAME_BYTES:
        raise InvalidInput(f"an object's name has 1 to {MAX_NAME_BYTES} bytes")
    if not path.isprintable() or "\\" in path or {"", ".", ".."} & set(path.split("/")):
        raise InvalidInput(f"not the name of an object: {path!r}")
