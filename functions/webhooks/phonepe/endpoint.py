"""How this URL authenticates PhonePe: one mode, pinned by configuration, whatever a sender would prefer.

``hmac``   a hexadecimal HMAC-SHA256 of the raw body in one header, the key's id in another; secrets ``key_id:secret``
``basic``  a constant ``Authorization: sha256(username:password)`` ("SHA" in PhonePe's dashboard); secrets
           ``username:password``. It signs nothing, so the handler confirms every order through the status API.

Several secrets, one per line, are live at once while one is being rotated. The names of the HMAC headers are not in
PhonePe's public documentation, so they are settings; the defaults are what integrators report.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from common.config.secrets import secret_values
from common.errors import Misconfigured
from common.webhooks.verification import verify_credentials, verify_webhook

if TYPE_CHECKING:
    from common.functions import Request


@dataclass(frozen=True)
class PhonePeEndpoint:
    """The endpoint's authentication.

    Attributes:
        mode: see the module.
        secrets: pairs of key id and secret, or of user name and password.
        signature_header: where ``hmac`` looks for the signature.
        key_id_header: where ``hmac`` looks for the key's id; a sender that names none is checked against every key.
        authorization_header: where ``basic`` looks for the digest.
    """

    mode: Literal["hmac", "basic"]
    secrets: tuple[tuple[str, str], ...] = field(repr=False)
    signature_header: str = "x-phonepe-checksum-signature"
    key_id_header: str = "x-phonepe-checksum-key-id"
    authorization_header: str = "authorization"

    @classmethod
    def from_environment(cls) -> PhonePeEndpoint:
        """Read the settings ``PHONEPE_WEBHOOK_MODE``, ``…_SECRETS`` and the header names.

        Raises:
            Misconfigured: the mode is unknown, or there is no usable secret.
        """
        mode = os.environ.get("PHONEPE_WEBHOOK_MODE") or "hmac"
        if mode not in {"hmac", "basic"}:
            raise Misconfigured("PHONEPE_WEBHOOK_MODE must be hmac or basic")
        pairs = (line.partition(":") for line in secret_values("phonepe-webhook-secrets"))
        secrets = tuple((name.strip(), secret.strip()) for name, _, secret in pairs)
        if not secrets or not all(name and secret for name, secret in secrets):
            raise Misconfigured("PHONEPE_WEBHOOK_SECRETS needs one name:secret per line")
        return cls(
            mode="hmac" if mode == "hmac" else "basic",
            secrets=secrets,
            signature_header=os.environ.get("PHONEPE_SIGNATURE_HEADER") or cls.signature_header,
            key_id_header=os.environ.get("PHONEPE_KEY_ID_HEADER") or cls.key_id_header,
            authorization_header=os.environ.get("PHONEPE_AUTHORIZATION_HEADER") or cls.authorization_header,
        )

    def verifies(self, request: Request) -> bool:
        """Whether the request is PhonePe's.

        Raises:
            Rejected: 400, a header of the signature came twice.
        """
        if self.mode == "basic":
            presented = request.header(self.authorization_header) or ""
            return any(verify_credentials(presented, name, secret) for name, secret in self.secrets)
        signature = request.header(self.signature_header) or ""
        key_id = request.header(self.key_id_header)
        keys = [secret for name, secret in self.secrets if key_id in {None, name}]
        return any(verify_webhook(request.body, signature, secret) for secret in keys)
