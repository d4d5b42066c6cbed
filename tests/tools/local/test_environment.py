"""What functions are given, and what stays secret."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

from tools.local.environment import Secrets, environment, load_secrets

SERVICES = (
    "pubsub",
    "valkey",
    "postgres",
    "phonepe",
    "identity",
    "storage",
    "tasks",
    "mail",
    "bigquery",
    "operations",
    "vertex",
    "slack",
)
PORTS = {name: number for number, name in enumerate(SERVICES, 1)}


def test_the_environment_has_every_variable_of_a_deployed_function() -> None:
    secret = Secrets()
    assert environment(secret, PORTS, root=Path("/cloud")) == {
        "ENVIRONMENT": "dev",
        "LOG_LEVEL": "INFO",
        "GOOGLE_CLOUD_PROJECT": "raptorflow-local",
        "INVOKER_EMAIL": "invoker@raptorflow-local.iam.gserviceaccount.com",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:6",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9",
        "SECRET_MANAGER_EMULATOR_HOST": "127.0.0.1:10",
        "CLOUD_MONITORING_EMULATOR_HOST": "127.0.0.1:10",
        "GOOGLE_VERTEX_BASE_URL": "http://127.0.0.1:11",
        "SLACK_WEBHOOK_URL": f"http://127.0.0.1:12/{secret.slack_path}",
        "GOOGLE_APPLICATION_CREDENTIALS": "/cloud/storage-key.json",
        "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:7",
        "UPSTASH_REDIS_URL": "redis://127.0.0.1:2/0",
        "UPSTASH_REDIS_TOKEN": secret.redis_token,
        "DATABASE_URL": f"postgresql://raptorflow_functions:{secret.database_password}@127.0.0.1:3/raptorflow",
        "PHONEPE_BASE_URL": "http://127.0.0.1:4",
        "PHONEPE_AUTH_URL": "http://127.0.0.1:4/v1/oauth/token",
        "PHONEPE_CLIENT_ID": "RAPTORFLOWLOCAL_CLIENT",
        "PHONEPE_CLIENT_VERSION": "1",
        "PHONEPE_CLIENT_SECRET": secret.phonepe_client_secret,
        "PHONEPE_MERCHANT_ID": "RAPTORFLOWLOCAL",
        "PHONEPE_WEBHOOK_MODE": "hmac",
        "PHONEPE_WEBHOOK_SECRETS": secret.phonepe_hmac,
        "PHONEPE_SIGNATURE_HEADER": "x-phonepe-checksum-signature",
        "PHONEPE_KEY_ID_HEADER": "x-phonepe-checksum-key-id",
        "PHONEPE_AUTHORIZATION_HEADER": "authorization",
        "RESEND_API_KEY": secret.resend_api_key,
        "RESEND_BASE_URL": "http://127.0.0.1:8",
        "SENDER_EMAIL_ADDRESS": "RaptorFlow <billing@raptorflow.example>",
        "SELLER_LEGAL_NAME": "RaptorFlow Labs Private Limited",
        "SELLER_ADDRESS": "4th Floor, 12 Residency Road | Bengaluru 560025",
        "SELLER_GSTIN": "29AABCU9603R1ZJ",
        "SELLER_LUT": "",
        "INVOICE_SAC": "998315",
        "GST_RATE_BASIS_POINTS": "1800",
    }


def test_the_other_mode_comes_with_its_own_secret() -> None:
    secret = Secrets()
    given = environment(secret, PORTS, "basic", root=Path("/cloud"))
    assert (given["PHONEPE_WEBHOOK_MODE"], given["PHONEPE_WEBHOOK_SECRETS"]) == ("basic", secret.phonepe_basic)


def test_secrets_are_random_for_each_folder_and_stay(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    made = load_secrets(first)
    assert load_secrets(first) == made
    other = load_secrets(second)
    for name in ("database_admin_password", "database_password", "redis_token", "phonepe_hmac", "phonepe_basic"):
        assert getattr(made, name) != getattr(other, name)
    assert stat.S_IMODE((first / "secrets.json").stat().st_mode) == 0o600
    assert [path.name for path in first.iterdir()] == ["secrets.json"]


def test_a_file_of_an_older_version_is_completed(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"redis_token": "kept", "gone": "x"}))
    made = load_secrets(tmp_path)
    assert made.redis_token == "kept"
    assert load_secrets(tmp_path) == made


def test_the_credentials_are_what_phonepes_dashboard_accepts() -> None:
    username, _, password = Secrets().phonepe_basic.partition(":")
    assert re.fullmatch(r"[A-Za-z0-9_]{5,20}", username)
    assert re.fullmatch(r"[A-Za-z0-9]{8,20}", password)


def test_secrets_are_not_printed() -> None:
    secret = Secrets()
    assert secret.redis_token not in repr(secret)
