"""The environment contract: complete, checked, told truthfully."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.config import Environment, Settings, get_settings
from common.errors import Misconfigured
from common.redis.config import RedisConfig
from common.redis.health import RedisHealthChecker
from functions.webhooks.phonepe.endpoint import PhonePeEndpoint

DEPLOYED = {
    "ENVIRONMENT": "prod",
    "GOOGLE_CLOUD_PROJECT": "raptorflow-prod",
    "INVOKER_EMAIL": "invoker@raptorflow-prod.iam.gserviceaccount.com",
    "UPSTASH_REDIS_URL": "rediss://default:redis-secret@apn1.upstash.io:6379",
    "DATABASE_URL": "postgresql://f:db-secret@pooler:6543/postgres?sslmode=require",
    "PHONEPE_BASE_URL": "https://api.phonepe.com/apis/pg",
    "PHONEPE_AUTH_URL": "https://api.phonepe.com/apis/identity-manager/v1/oauth/token",
    "PHONEPE_CLIENT_ID": "client",
    "PHONEPE_CLIENT_SECRET": "client-secret",
    "PHONEPE_MERCHANT_ID": "RAPTORFLOW",
    "PHONEPE_WEBHOOK_SECRETS": "k1:webhook-secret",
    "SELLER_LEGAL_NAME": "RaptorFlow Labs Private Limited",
    "SELLER_ADDRESS": "12 Residency Road | Bengaluru 560025",
    "SELLER_GSTIN": "29AABCU9603R1ZJ",
    "RESEND_API_KEY": "mail-secret",
    "SENDER_EMAIL_ADDRESS": "RaptorFlow <billing@raptorflow.example>",
}
SECRETS = ("redis-secret", "db-secret", "client-secret", "webhook-secret", "mail-secret")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()


def deployed(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    for name, value in {**DEPLOYED, **changes}.items():
        if value is not None:
            monkeypatch.setenv(name, value)


def test_a_developer_needs_to_set_nothing() -> None:
    assert get_settings().environment is Environment.DEV


def test_a_complete_deployment_is_accepted_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(monkeypatch)
    settings = get_settings()
    assert settings.environment is Environment.PROD
    assert not [secret for secret in SECRETS if secret in repr(settings) + str(settings)]


@pytest.mark.parametrize("name", [name for name in DEPLOYED if name != "ENVIRONMENT"])
def test_a_deployment_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    deployed(monkeypatch, **{name: None})
    with pytest.raises(Misconfigured, match=name):
        get_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085"),
        ("CLOUD_TASKS_EMULATOR_HOST", "127.0.0.1:8086"),
        ("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9000"),
        ("PHONEPE_BASE_URL", "http://api.phonepe.com"),
        ("PHONEPE_AUTH_URL", "http://api.phonepe.com"),
        ("RESEND_BASE_URL", "http://api.resend.com"),
        ("UPSTASH_REDIS_URL", "redis://default:redis-secret@host:6379"),
        ("ENVIRONMENT", "production"),
        ("PHONEPE_WEBHOOK_MODE", "none"),
    ],
)
def test_an_unsafe_deployment_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    deployed(monkeypatch, **{name: value})
    with pytest.raises(Misconfigured, match=name) as caught:
        get_settings()
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GOOGLE_CLOUD_PROJECT=from-file\nLOG_LEVEL=DEBUG\n")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-environment")
    settings = get_settings()
    assert (settings.google_cloud_project, settings.log_level) == ("from-environment", "DEBUG")


REPOSITORY = Path(__file__).parents[2]


def test_the_example_names_every_variable_with_its_default_and_explains_it() -> None:
    text = (REPOSITORY / ".env.example").read_text()
    found = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))
    fields = Settings.model_fields
    defaults = {
        name.upper(): getattr(field.default, "get_secret_value", lambda value=field.default: str(value))()
        for name, field in fields.items()
    }
    assert found == defaults
    for name in fields:
        assert re.search(rf"^# .+\n{name.upper()}=", text, re.MULTILINE)


def test_every_variable_that_the_code_reads_is_in_the_contract() -> None:
    platform = {"K_SERVICE", "K_REVISION"}
    read: set[str] = set()
    for path in [*REPOSITORY.glob("common/**/*.py"), *REPOSITORY.glob("functions/**/*.py")]:
        text = path.read_text()
        read |= set(re.findall(r"os\.environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"", text))
        read |= set(re.findall(r"(?:_setting|emulator)\(\s*\"([A-Z_]+)\"", text))
        read |= set(re.findall(r"open_client\(\s*\w+,\s*\w+,\s*\"([A-Z_]+)\"", text))
        read |= {name.upper().replace("-", "_") for name in re.findall(r"secret_values\(\"([a-z-]+)\"", text)}
    assert read - platform <= {name.upper() for name in Settings.model_fields}
    assert {name.upper() for name in Settings.model_fields} <= read | {"GOOGLE_CLOUD_REGION"}


def test_the_hot_path_has_the_same_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEPE_WEBHOOK_SECRETS", "k1:secret")
    endpoint, settings = PhonePeEndpoint.from_environment(), get_settings()
    assert endpoint.mode == settings.phonepe_webhook_mode
    assert endpoint.signature_header == settings.phonepe_signature_header
    assert endpoint.key_id_header == settings.phonepe_key_id_header
    assert endpoint.authorization_header == settings.phonepe_authorization_header
    assert RedisHealthChecker().quota == settings.redis_memory_quota_mb * 1_000_000


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, common.config, common.config.secrets; sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": "."})


# --- RedisConfig, the frozen dataclass of the hot path


@pytest.mark.parametrize(
    ("url", "token", "expected"),
    [
        ("rediss://default:p@h.upstash.io:6379", "", "rediss://default:p@h.upstash.io:6379"),
        ("rediss://h.upstash.io:6379", "t/k", "rediss://default:t%2Fk@h.upstash.io:6379"),
        ("https://h.upstash.io", "t", "rediss://default:t@h.upstash.io:6379"),
        ("redis://127.0.0.1:1/0", "", "redis://127.0.0.1:1/0"),
        ("redis://127.0.0.1:1/0", "t", "redis://default:t@127.0.0.1:1/0"),
    ],
)
def test_redis_urls(monkeypatch: pytest.MonkeyPatch, url: str, token: str, expected: str) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", url)
    monkeypatch.setenv("UPSTASH_REDIS_TOKEN", token)
    config = RedisConfig.from_environment()
    assert config.url == expected
    assert "default" not in repr(config)


@pytest.mark.parametrize("url", ["", "http://h", "h.upstash.io", "https://h.upstash.io"])
def test_redis_urls_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", url)
    with pytest.raises(Misconfigured, match="UPSTASH_REDIS"):
        RedisConfig.from_environment()


def test_unencrypted_redis_is_refused_where_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_URL", "redis://h:6379")
    monkeypatch.setenv("K_SERVICE", "event-on-phonepe-event")
    with pytest.raises(Misconfigured, match="rediss"):
        RedisConfig.from_environment()
