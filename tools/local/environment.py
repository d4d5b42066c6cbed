"""The environment that the local cloud gives to functions: the deployed names, local endpoints, random secrets."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Literal

from tools.local import private
from tools.local.state import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT = "raptorflow-local"
INVOKER = f"invoker@{PROJECT}.iam.gserviceaccount.com"
DATABASE = "raptorflow"
DATABASE_ROLE = "raptorflow_functions"

WebhookMode = Literal["hmac", "basic"]


def _random(prefix: str = "") -> str:
    return prefix + secrets.token_hex(10)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once for each folder of a local cloud.

    Attributes:
        database_admin_password: of Postgres' superuser ``postgres``.
        database_password: of the functions' login role.
        redis_token: Valkey's password.
        phonepe_merchant_id: whose orders PhonePe's stand-in keeps.
        phonepe_client_id: of the OAuth client.
        phonepe_client_secret: of the OAuth client.
        phonepe_hmac: ``key_id:secret``, signs webhooks.
        phonepe_basic: ``username:password``, authorises them in the other mode; 5 to 20 and 8 to 20 characters, as
            PhonePe's dashboard demands.
        resend_api_key: of the mail provider's stand-in.
        slack_path: the secret part of the URL of Slack's stand-in.
    """

    database_admin_password: str = field(default_factory=_random)
    database_password: str = field(default_factory=_random)
    redis_token: str = field(default_factory=_random)
    phonepe_merchant_id: str = "RAPTORFLOWLOCAL"
    phonepe_client_id: str = "RAPTORFLOWLOCAL_CLIENT"
    phonepe_client_secret: str = field(default_factory=_random)
    phonepe_hmac: str = field(default_factory=lambda: f"local-key:{_random()}")
    phonepe_basic: str = field(default_factory=lambda: f"raptorflow:{_random()}")
    resend_api_key: str = field(default_factory=lambda: _random("re_"))
    slack_path: str = field(default_factory=lambda: f"services/T00000000/B00000000/{_random()}")

    def __repr__(self) -> str:
        """Without the secrets."""
        return "Secrets()"


def load_secrets(root: Path) -> Secrets:
    """The secrets under ``root``, made if they are missing."""
    path = root / "secrets.json"
    if not path.exists():
        private.create(path, json.dumps(asdict(Secrets()), indent=2).encode())
    known = {item.name for item in fields(Secrets)}
    stored = {name: value for name, value in json.loads(path.read_bytes()).items() if name in known}
    complete = Secrets(**stored)
    if len(stored) < len(known):  # written by an older version
        path.unlink()
        private.create(path, json.dumps(asdict(complete), indent=2).encode())
    return complete


def admin_database_url(secret: Secrets, port: int, database: str = DATABASE) -> str:
    """The URL of Postgres' superuser."""
    return f"postgresql://postgres:{secret.database_admin_password}@{HOST}:{port}/{database}"


def storage_key_file(root: Path) -> Path:
    """The key file of the service account that signs URLs."""
    return root / "storage-key.json"


def environment(secret: Secrets, ports: Mapping[str, int], mode: WebhookMode = "hmac", *, root: Path) -> dict[str, str]:
    """What a function reads, as it would be deployed.

    Args:
        secret: of this cloud.
        ports: of its components.
        root: its folder.
        mode: how PhonePe's webhooks are authenticated.
    """
    phonepe = f"http://{HOST}:{ports['phonepe']}"
    return {
        "ENVIRONMENT": "dev",
        "LOG_LEVEL": "INFO",
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "INVOKER_EMAIL": INVOKER,
        "PUBSUB_EMULATOR_HOST": f"{HOST}:{ports['pubsub']}",
        "STORAGE_EMULATOR_HOST": f"http://{HOST}:{ports['storage']}",
        "BIGQUERY_EMULATOR_HOST": f"http://{HOST}:{ports['bigquery']}",
        "SECRET_MANAGER_EMULATOR_HOST": f"{HOST}:{ports['operations']}",
        "CLOUD_MONITORING_EMULATOR_HOST": f"{HOST}:{ports['operations']}",
        "GOOGLE_VERTEX_BASE_URL": f"http://{HOST}:{ports['vertex']}",
        "SLACK_WEBHOOK_URL": f"http://{HOST}:{ports['slack']}/{secret.slack_path}",
        "GOOGLE_APPLICATION_CREDENTIALS": str(storage_key_file(root)),
        "CLOUD_TASKS_EMULATOR_HOST": f"{HOST}:{ports['tasks']}",
        "UPSTASH_REDIS_URL": f"redis://{HOST}:{ports['valkey']}/0",
        "UPSTASH_REDIS_TOKEN": secret.redis_token,
        "DATABASE_URL": f"postgresql://{DATABASE_ROLE}:{secret.database_password}@{HOST}:{ports['postgres']}/{DATABASE}",
        "PHONEPE_BASE_URL": phonepe,
        "PHONEPE_AUTH_URL": f"{phonepe}/v1/oauth/token",
        "PHONEPE_CLIENT_ID": secret.phonepe_client_id,
        "PHONEPE_CLIENT_VERSION": "1",
        "PHONEPE_CLIENT_SECRET": secret.phonepe_client_secret,
        "PHONEPE_MERCHANT_ID": secret.phonepe_merchant_id,
        "PHONEPE_WEBHOOK_MODE": mode,
        "PHONEPE_WEBHOOK_SECRETS": secret.phonepe_hmac if mode == "hmac" else secret.phonepe_basic,
        "PHONEPE_SIGNATURE_HEADER": "x-phonepe-checksum-signature",
        "PHONEPE_KEY_ID_HEADER": "x-phonepe-checksum-key-id",
        "PHONEPE_AUTHORIZATION_HEADER": "authorization",
        "RESEND_API_KEY": secret.resend_api_key,
        "RESEND_BASE_URL": f"http://{HOST}:{ports['mail']}",
        "SENDER_EMAIL_ADDRESS": "RaptorFlow <billing@raptorflow.example>",
        "SELLER_LEGAL_NAME": "RaptorFlow Labs Private Limited",
        "SELLER_ADDRESS": "4th Floor, 12 Residency Road | Bengaluru 560025",
        "SELLER_GSTIN": "29AABCU9603R1ZJ",
        "SELLER_LUT": "",
        "INVOICE_SAC": "998315",
        "GST_RATE_BASIS_POINTS": "1800",
    }
