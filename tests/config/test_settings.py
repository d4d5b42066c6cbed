"""The environment contract: complete, checked, told truthfully."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.config import Environment, Settings, get_settings
from common.config.environment import DEFAULTS, setting
from common.errors import Misconfigured
from common.redis.config import RedisConfig
from common.redis.health import RedisHealthChecker
from functions.events.on_phonepe_event.client import PhonePeClient
from functions.webhooks.phonepe.endpoint import PhonePeEndpoint

DEPLOYED = {
    "ENVIRONMENT": "prod",
    "GOOGLE_CLOUD_PROJECT": "raptorflow-prod",
    "INVOKER_EMAIL": "invoker@raptorflow-prod.iam.gserviceaccount.com",
    "UPSTASH_REDIS_URL": "rediss://default:redis-secret@apn1.upstash.io:6379",
    "DATABASE_URL": "postgresql://f:db-secret@pooler:6543/postgres?sslmode=require",
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
        ("PHONEPE_BASE_URL", "https://api-preprod.phonepe.com/apis/pg-sandbox"),
        ("PHONEPE_AUTH_URL", "https://api-preprod.phonepe.com/apis/pg-sandbox/v1/oauth/token"),
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


# --- what holds in an environment


@pytest.mark.parametrize("where", list(Environment))
def test_each_environment_has_defaults_of_its_own_which_the_hot_path_shares(
    monkeypatch: pytest.MonkeyPatch, where: Environment
) -> None:
    deployed(monkeypatch, ENVIRONMENT=where)
    settings = get_settings()
    for name, value in DEFAULTS[where].items():
        assert getattr(settings, name.lower()) == setting(name) == value
    assert (
        settings.phonepe_base_url
        == {
            Environment.DEV: "",
            Environment.STAGING: "https://api-preprod.phonepe.com/apis/pg-sandbox",
            Environment.PROD: "https://api.phonepe.com/apis/pg",
        }[where]
    )


def test_the_file_may_name_the_environment(tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in {**DEPLOYED, "ENVIRONMENT": "staging"}.items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    settings = get_settings()
    assert settings.environment is Environment.STAGING
    assert settings.phonepe_base_url == DEFAULTS[Environment.STAGING]["PHONEPE_BASE_URL"]


def test_a_setting_wins_over_its_environment_and_an_empty_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(monkeypatch, PHONEPE_BASE_URL="https://phonepe.example/pg", LOG_LEVEL="")
    settings = get_settings()
    assert settings.phonepe_base_url == setting("PHONEPE_BASE_URL") == "https://phonepe.example/pg"
    assert settings.log_level == setting("LOG_LEVEL") == "INFO"


@pytest.mark.parametrize("where", [Environment.DEV, Environment.STAGING])
@pytest.mark.parametrize("name", ["PHONEPE_BASE_URL", "PHONEPE_AUTH_URL"])
def test_real_money_is_paid_in_prod_only(monkeypatch: pytest.MonkeyPatch, where: Environment, name: str) -> None:
    deployed(monkeypatch, ENVIRONMENT=where, **{name: DEFAULTS[Environment.PROD][name]})
    with pytest.raises(Misconfigured, match=f"{name} must not be at api.phonepe.com in {where}"):
        get_settings()


def test_an_environment_that_is_none_is_not_taken_for_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(Misconfigured, match="dev, staging, prod"):
        setting("PHONEPE_BASE_URL")


async def test_orders_are_confirmed_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "staging")
    client = PhonePeClient()
    assert (client._base, client._auth_url) == (
        "https://api-preprod.phonepe.com/apis/pg-sandbox",
        "https://api-preprod.phonepe.com/apis/pg-sandbox/v1/oauth/token",
    )
    await client.aclose()


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
        assert (told := re.search(rf"^(# .+\n)+{name.upper()}=", text, re.MULTILINE))
        for where, values in DEFAULTS.items():
            value = values.get(name.upper(), "")
            assert value in told[0]
            assert not value or where in told[0]


def test_every_variable_that_the_code_reads_is_in_the_contract() -> None:
    platform = {"K_SERVICE", "K_REVISION"}
    read: set[str] = set()
    for path in [*REPOSITORY.glob("common/**/*.py"), *REPOSITORY.glob("functions/**/*.py")]:
        text = path.read_text()
        read |= set(re.findall(r"os\.environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"", text))
        read |= set(re.findall(r"(?:setting|_required|emulator)\(\s*\"([A-Z_]+)\"", text))
        read |= set(re.findall(r"open_client\(\s*\w+,\s*\w+,\s*\"([A-Z_]+)\"", text))
        read |= {name.upper().replace("-", "_") for name in re.findall(r"secret_values\(\"([a-z-]+)\"", text)}
    assert read - platform <= {name.upper() for name in Settings.model_fields}
    assert {name.upper() for name in Settings.model_fields} <= read | {"GOOGLE_CLOUD_REGION"}


@pytest.mark.parametrize("empty", [False, True])
def test_the_hot_path_has_the_same_defaults(monkeypatch: pytest.MonkeyPatch, *, empty: bool) -> None:
    if empty:
        for name in Settings.model_fields:
            monkeypatch.setenv(name.upper(), "")
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
