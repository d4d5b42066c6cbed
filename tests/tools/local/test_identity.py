"""Tokens as Google's issuer makes them, and who is not fooled."""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tools.local.identity import ISSUER, Identity, InvalidToken, verify

if TYPE_CHECKING:
    from pathlib import Path

EMAIL, AUDIENCE = "invoker@raptorflow-local.iam.gserviceaccount.com", "http://127.0.0.1:8080/event-on-phonepe-event"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


def forged(identity: Identity, **claims: Any) -> str:
    """A token signed with the right key that says something else."""
    issued = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "1",
        "email": EMAIL,
        "email_verified": True,
        "iat": issued,
        "exp": issued + 3600,
    }
    kept = {name: value for name, value in (said | claims).items() if value is not None}
    return jwt.encode(kept, identity._key, algorithm="RS256", headers={"kid": identity._kid})


def test_a_token_says_what_googles_say(identity: Identity) -> None:
    claims = verify(identity.sign(EMAIL, AUDIENCE), AUDIENCE, identity.jwks())
    assert (claims["iss"], claims["aud"], claims["email"]) == ("https://accounts.google.com", AUDIENCE, EMAIL)
    assert claims["email_verified"] is True
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["sub"].isdigit()


def test_the_key_is_kept_and_private(tmp_path: Path, identity: Identity) -> None:
    assert stat.S_IMODE((tmp_path / "identity.pem").stat().st_mode) == 0o600
    assert Identity(tmp_path).jwks() == identity.jwks()


def test_the_key_set_holds_nothing_private(identity: Identity) -> None:
    (key,) = identity.jwks()["keys"]
    assert key.keys() == {"kty", "key_ops", "n", "e", "kid", "alg", "use"}
    assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "http://127.0.0.1:8080/another"},
        {"exp": int(time.time()) - 60},
        {"iat": int(time.time()) + 3600},
        {"email": None},
        {"exp": None},
        {"aud": None},
    ],
)
def test_a_token_with_other_claims_is_refused(identity: Identity, claims: dict[str, Any]) -> None:
    assert verify(forged(identity), AUDIENCE, identity.jwks())
    with pytest.raises(InvalidToken):
        verify(forged(identity, **claims), AUDIENCE, identity.jwks())


def test_another_issuers_token_is_refused(identity: Identity, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(InvalidToken, match="unknown key"):
        verify(Identity(elsewhere).sign(EMAIL, AUDIENCE), AUDIENCE, identity.jwks())


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "..", "e30.e30."])
def test_nonsense_is_refused(identity: Identity, token: str) -> None:
    with pytest.raises(InvalidToken):
        verify(token, AUDIENCE, identity.jwks())


def test_a_changed_or_missing_signature_is_refused(identity: Identity) -> None:
    head, body, signature = identity.sign(EMAIL, AUDIENCE).split(".")
    unsigned = jwt.encode(
        jwt.decode(f"{head}.{body}.{signature}", options={"verify_signature": False}),
        "",
        algorithm="none",
        headers={"kid": identity._kid},
    )
    for token in (f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", f"{head}.{body[:-2]}.{signature}", unsigned):
        with pytest.raises(InvalidToken):
            verify(token, AUDIENCE, identity.jwks())
