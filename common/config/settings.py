"""The whole environment contract (R66): what a deployment must set, what it may set, and what it must not.

A variable that is set wins over ``.env``, that over what holds in the environment (`common.config.environment`), that
over the defaults below; an empty one counts as not set.

For the gateway, scripts, CI and deploy checks. Functions read the few variables that they need for themselves, since
pydantic alone costs 1.6 times a bare cold start; a test holds their names and defaults equal to these.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common.config.environment import DEFAULTS, Environment
from common.errors import Misconfigured

_REQUIRED_WHEN_DEPLOYED = (
    "google_cloud_project",
    "invoker_email",
    "upstash_redis_url",
    "database_url",
    "phonepe_client_id",
    "phonepe_client_secret",
    "phonepe_merchant_id",
    "phonepe_webhook_secrets",
    "seller_legal_name",
    "seller_address",
    "seller_gstin",
    "resend_api_key",
    "sender_email_address",
)
_EMULATORS = (
    "pubsub_emulator_host",
    "cloud_tasks_emulator_host",
    "storage_emulator_host",
    "bigquery_emulator_host",
    "secret_manager_emulator_host",
    "cloud_monitoring_emulator_host",
)


_REAL_MONEY, _PLAY_MONEY = "api.phonepe.com", "api-preprod.phonepe.com"


class _EnvironmentDefaults(PydanticBaseSettingsSource):
    """What holds in the environment that the other sources have named."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Asked for by pydantic, for sources that know one field at a time."""
        del field
        chosen = self.current_state.get("environment", Environment.DEV)
        defaults = DEFAULTS[Environment(chosen)] if chosen in set(Environment) else {}
        return defaults.get(field_name.upper()), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All of them."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """Every variable, from the environment or a ``.env`` file; the environment wins.

    Raises:
        pydantic.ValidationError: a value is missing or wrong; the message names the variable, never the value.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from; the first one that has it wins."""
        del file_secret_settings
        return init_settings, env_settings, dotenv_settings, _EnvironmentDefaults(settings_cls)

    environment: Annotated[Environment, Field(description="dev, staging or prod")] = Environment.DEV
    log_level: Annotated[
        str, Field(description="a level, or a level and exceptions to it: INFO,common.redis=DEBUG")
    ] = ""

    google_cloud_project: Annotated[str, Field(description="the project's id")] = ""
    google_cloud_region: Annotated[str, Field(description="where everything lies")] = "asia-south1"
    invoker_email: Annotated[
        str, Field(description="the only identity that pushes and schedules may come from, set per function")
    ] = ""
    pubsub_emulator_host: Annotated[str, Field(description="host:port of a local Pub/Sub; refused where deployed")] = ""
    cloud_tasks_emulator_host: Annotated[
        str, Field(description="host:port of a local Cloud Tasks; refused where deployed")
    ] = ""
    storage_emulator_host: Annotated[
        str, Field(description="http://host:port of a local Cloud Storage; refused where deployed")
    ] = ""
    bigquery_emulator_host: Annotated[
        str, Field(description="http://host:port of a local BigQuery; refused where deployed")
    ] = ""
    bigquery_dataset: Annotated[str, Field(description="of the analytics; empty for raptorflow_analytics")] = ""
    secret_manager_emulator_host: Annotated[
        str, Field(description="host:port of a local Secret Manager; refused where deployed")
    ] = ""
    cloud_monitoring_emulator_host: Annotated[
        str, Field(description="host:port of a local Cloud Monitoring; refused where deployed")
    ] = ""
    google_application_credentials: Annotated[
        str, Field(description="a key file, which signs URLs locally; a deployed function has an identity of its own")
    ] = ""
    otel_exporter_otlp_endpoint: Annotated[
        str, Field(description="a collector for the functions that export traces; empty for Google's Telemetry API")
    ] = ""
    evidence_bucket: Annotated[str, Field(description="what customers upload; empty for PROJECT-evidence")] = ""
    exports_bucket: Annotated[str, Field(description="what they download once; empty for PROJECT-exports")] = ""
    assets_bucket: Annotated[str, Field(description="what Muse makes; empty for PROJECT-assets")] = ""
    invoices_bucket: Annotated[
        str, Field(description="tax documents, kept for eight years; empty for PROJECT-invoices")
    ] = ""

    upstash_redis_url: Annotated[
        SecretStr, Field(description="rediss://default:PASSWORD@HOST:6379; Upstash's https:// URL works with the token")
    ] = SecretStr("")
    upstash_redis_token: Annotated[SecretStr, Field(description="the password, where the URL has none")] = SecretStr("")
    redis_memory_quota_mb: Annotated[
        int, Field(gt=0, description="megabytes that Upstash's plan holds; health warns from 80 % of it on")
    ] = 256
    database_url: Annotated[
        SecretStr, Field(description="Postgres through Supabase's transaction pooler, with sslmode=require")
    ] = SecretStr("")

    phonepe_base_url: Annotated[
        str, Field(description="PhonePe's API: its sandbox in staging, the real one in prod")
    ] = ""
    phonepe_auth_url: Annotated[
        str, Field(description="where PhonePe gives tokens: its sandbox in staging, the real one in prod")
    ] = ""
    phonepe_client_id: Annotated[str, Field(description="from PhonePe's dashboard")] = ""
    phonepe_client_version: Annotated[str, Field(description="from PhonePe's dashboard")] = "1"
    phonepe_client_secret: Annotated[SecretStr, Field(description="from PhonePe's dashboard")] = SecretStr("")
    phonepe_merchant_id: Annotated[str, Field(description="orders of any other merchant are refused")] = ""
    phonepe_webhook_mode: Annotated[
        Literal["hmac", "basic"], Field(description="how PhonePe authenticates webhooks; prefer hmac")
    ] = "hmac"
    phonepe_webhook_secrets: Annotated[
        SecretStr, Field(description="one per line: key_id:secret for hmac, username:password for basic")
    ] = SecretStr("")
    phonepe_signature_header: Annotated[str, Field(description="hmac: where the signature is")] = (
        "x-phonepe-checksum-signature"
    )
    phonepe_key_id_header: Annotated[str, Field(description="hmac: where the key's id is")] = (
        "x-phonepe-checksum-key-id"
    )
    phonepe_authorization_header: Annotated[str, Field(description="basic: where the digest is")] = "authorization"

    seller_legal_name: Annotated[str, Field(description="our name on tax documents, as registered")] = ""
    seller_address: Annotated[str, Field(description="our registered address, lines separated by |")] = ""
    seller_gstin: Annotated[str, Field(description="our GSTIN; its first two digits are our state")] = ""
    seller_lut: Annotated[
        str, Field(description="the letter of undertaking under which exports carry no tax, if there is one")
    ] = ""
    invoice_sac: Annotated[str, Field(description="Services Accounting Code; the accountant confirms it")] = "998315"
    gst_rate_basis_points: Annotated[int, Field(description="of GST as a whole: 1800 is 18 %")] = 1800

    resend_api_key: Annotated[SecretStr, Field(description="of the mail provider")] = SecretStr("")
    resend_base_url: Annotated[str, Field(description="the mail provider's API")] = "https://api.resend.com"
    sender_email_address: Annotated[
        str, Field(description="where mails come from: RaptorFlow <billing@example.com>")
    ] = ""

    @model_validator(mode="after")
    def _real_money_is_paid_in_prod_only(self) -> Self:
        wrong = _PLAY_MONEY if self.environment is Environment.PROD else _REAL_MONEY
        for name in ("phonepe_base_url", "phonepe_auth_url"):
            if urlsplit(getattr(self, name)).hostname == wrong:
                raise ValueError(f"{name.upper()} must not be at {wrong} in {self.environment}")
        return self

    @model_validator(mode="after")
    def _deployed_settings_are_complete_and_safe(self) -> Self:
        if self.environment is Environment.DEV:
            return self
        missing = [name.upper() for name in _REQUIRED_WHEN_DEPLOYED if not _text(getattr(self, name)).strip()]
        if missing:
            raise ValueError(f"{self.environment} needs {', '.join(missing)}")
        for name in _EMULATORS:
            if getattr(self, name):
                raise ValueError(f"{name.upper()} must not be set where deployed")
        for name in ("phonepe_base_url", "phonepe_auth_url", "resend_base_url"):
            if not getattr(self, name).startswith("https://"):
                raise ValueError(f"{name.upper()} must be https:// where deployed")
        if not _text(self.upstash_redis_url).startswith(("rediss://", "https://")):
            raise ValueError("UPSTASH_REDIS_URL must be rediss:// where deployed")
        return self


@functools.cache
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        Misconfigured: they are not valid; the message lists every problem and no value.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - only to translate

    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']).upper()}: {one['msg']}".removeprefix(": ")
            for one in error.errors(include_input=False, include_url=False)
        )
        raise Misconfigured(problems) from None


def _text(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
