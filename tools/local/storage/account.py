"""The service account whose key signs URLs locally: a key file as Google's console would give one.

Its ``token_uri`` is an address where nobody answers: no library can take the file for a way to Google.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tools.local import private
from tools.local.environment import PROJECT, storage_key_file

if TYPE_CHECKING:
    from pathlib import Path

EMAIL = f"functions@{PROJECT}.iam.gserviceaccount.com"
_NOBODY = "http://127.0.0.1:9/token"


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign, and the key that checks it."""

    email: str
    public_key: rsa.RSAPublicKey


def load_account(root: Path) -> Account:
    """The account under the local cloud's folder, made if it is missing.

    Raises:
        ValueError: somebody edited the file.
    """
    path = storage_key_file(root)
    if not path.exists():
        private.create(path, json.dumps(_new_key(), indent=2).encode())
    content = json.loads(path.read_bytes())
    key = serialization.load_pem_private_key(content["private_key"].encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} has no RSA key: delete it and start the local cloud again")  # noqa: TRY004
    return Account(content["client_email"], key.public_key())


def _new_key() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": digest[:40],
        "private_key": text,
        "client_email": EMAIL,
        "client_id": str(int(digest, 16))[:21],
        "token_uri": _NOBODY,
    }
