"""The local stand-in for Google's token issuer: pushes and schedules carry its tokens, the gateway verifies them."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from common.errors import RaptorFlowError
from tools.local import private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ISSUER = "https://accounts.google.com"
LIFETIME_SECONDS = 3600


class InvalidToken(RaptorFlowError):  # noqa: N818 - the field's own word
    """The token is not one of ours, not for this audience, or too old."""


class Identity:
    """Signs tokens with a key that is kept under the local cloud's folder.

    Example:
        >>> identity = Identity(Path(".local"))
        >>> token = identity.sign("invoker@raptorflow-local.iam.gserviceaccount.com", "http://127.0.0.1:8080/api-health")
        >>> verify(token, "http://127.0.0.1:8080/api-health", identity.jwks())["email_verified"]
        True
    """

    def __init__(self, root: Path) -> None:
        path = root / "identity.pem"
        if not path.exists():
            private.create(path, _new_key())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InvalidToken(f"{path} is not an RSA key: delete it and start the local cloud again")
        self._key = key
        self._public: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._kid = hashlib.sha256(str(self._public["n"]).encode()).hexdigest()[:40]

    def sign(self, email: str, audience: str) -> str:
        """An OIDC token of the service account ``email`` for the URL ``audience``, with the claims of Google's.

        Source: https://cloud.google.com/docs/authentication/token-types#id
        """
        issued = int(time.time())
        subject = str(int(hashlib.sha256(email.encode()).hexdigest(), 16))[:21]
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "azp": subject,
            "sub": subject,
            "email": email,
            "email_verified": True,
            "iat": issued,
            "exp": issued + LIFETIME_SECONDS,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [{**self._public, "kid": self._kid, "alg": "RS256", "use": "sig"}]}


def verify(token: str, audience: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a token.

    Args:
        token: three parts joined by dots.
        audience: whom it must be for.
        keys: a key set, as `Identity.jwks` and ``/jwks.json`` give it.

    Raises:
        InvalidToken: the signature, issuer, audience or time is wrong.
    """
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((item for item in keys["keys"] if item["kid"] == kid), None)
        if key is None:
            raise InvalidToken("the token is signed with an unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(key),
            algorithms=["RS256"],
            audience=audience,
            issuer=ISSUER,
            options={"require": ["aud", "email", "exp", "iat", "iss", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise InvalidToken(f"the token is refused: {error}") from error
    return claims


def _new_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
