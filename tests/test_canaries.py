"""What holds a secret does not show it; and the watch that looks for secrets everywhere else does see them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from common.config import get_settings
from common.infrastructure.secrets import secrets_manager
from common.notifications.mail import mail_client
from common.redis.client import redis_client
from common.redis.config import RedisConfig
from functions.events.on_phonepe_event.client import phonepe_client
from functions.webhooks.phonepe.endpoint import PhonePeEndpoint
from tests.canaries import Watch, canaries, found, in_files, log_files
from tools.local.environment import load_secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stack import Stack
    from tools.local.cloud import LocalCloud


@pytest.mark.parametrize(
    "make",
    [
        RedisConfig.from_environment,
        PhonePeEndpoint.from_environment,
        get_settings,
        mail_client,
        phonepe_client,
        redis_client,
        secrets_manager,
    ],
)
async def test_what_holds_a_secret_does_not_show_it(make: Callable[[], Any], stack: Stack, cloud: LocalCloud) -> None:
    del stack
    get_settings.cache_clear()
    made = make()
    shown = f"{made!r} {made} {getattr(made, '__dict__', '') if make is get_settings else ''}"
    assert found(shown, canaries(cloud.root)) == set()
    get_settings.cache_clear()


def test_the_local_clouds_own_secrets_are_not_shown(cloud: LocalCloud) -> None:
    assert found(repr(load_secrets(cloud.root)), canaries(cloud.root)) == set()


def test_the_watch_sees_what_is_told(tmp_path: Path) -> None:
    values = {"token": "c4n4ry"}
    watch = Watch(values)
    log = logging.getLogger("test.canaries")
    log.addHandler(watch)
    try:
        log.warning("nothing")
        assert watch.told == set()
        log.warning("told %s", "c4n4ry")
        log.warning("beside", extra={"fields": {"deep": {"token": "c4n4ry"}}})
        try:
            raise ValueError("c4n4ry")  # noqa: TRY301 - here, for its text
        except ValueError:
            log.exception("raised")
    finally:
        log.removeHandler(watch)
    assert watch.told == {"test.canaries logs token"}
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "gateway.log").write_text("it says c4n4ry")
    (tmp_path / "below" / "secrets.json").write_text("c4n4ry")
    assert in_files(log_files(tmp_path), values) == {"gateway.log has token"}
