"""Who signs URLs: a key file where there is one, else IAM in the name of the function's service account.

Imported at the first signed URL: it loads Google's authentication library.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import google.auth
from google.auth import iam
from google.auth.credentials import Signing
from google.auth.transport.requests import Request

from common.errors import Misconfigured
from common.infrastructure.endpoints import emulator

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

IAM_SECONDS = 5.0
"""For one request to IAM; the library makes up to three."""
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class IamSigning(Signing):
    """Credentials without a private key, which IAM's ``signBlob`` lends one: the key never leaves Google.

    The service account needs ``roles/iam.serviceAccountTokenCreator`` on itself. IAM's keys are rotated: a signature
    is good for 12 hours at least, whatever its URL says.
    Source: https://cloud.google.com/storage/docs/authentication/creating-signatures

    Args:
        credentials: a service account's, such as the metadata server gives.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._request: Any = functools.partial(Request(), timeout=IAM_SECONDS)

    @property
    def signer_email(self) -> str:
        """Whose signature it is; the metadata server tells it together with a token.

        Raises:
            Misconfigured: these are not a service account's credentials.
            google.auth.exceptions.GoogleAuthError: there is no token.
        """
        if not self._credentials.valid:
            self._credentials.refresh(self._request)  # type: ignore[no-untyped-call] # the library's
        email: str | None = getattr(self._credentials, "service_account_email", None)
        if email is None:
            raise Misconfigured("signed URLs need a service account: impersonate one, or use a key file")
        return email

    @property
    def signer(self) -> iam.Signer:
        """Asks IAM, with a token that is refreshed when it has expired.

        Raises:
            Misconfigured: see `signer_email`.
        """
        return iam.Signer(self._request, self._credentials, self.signer_email)  # type: ignore[no-untyped-call]

    def sign_bytes(self, message: bytes) -> bytes:
        """The signature of ``message``.

        Raises:
            google.auth.exceptions.GoogleAuthError: IAM refuses or does not answer.
        """
        signature: bytes = self.signer.sign(message)
        return signature


def signing_credentials() -> Signing:
    """What this process signs with.

    Raises:
        Misconfigured: an emulator is used without a key file; IAM is not asked about local objects.
        google.auth.exceptions.GoogleAuthError: there are no credentials.
    """
    local = emulator("STORAGE_EMULATOR_HOST") is not None
    if local and not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        raise Misconfigured("signed URLs need GOOGLE_APPLICATION_CREDENTIALS beside STORAGE_EMULATOR_HOST")
    credentials, _project = google.auth.default(scopes=[_SCOPE])
    if isinstance(credentials, Signing):
        return credentials
    if local:
        raise Misconfigured("the file of GOOGLE_APPLICATION_CREDENTIALS has no private key")
    return IamSigning(credentials)
