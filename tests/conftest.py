"""Fixtures that every folder may use: one local cloud for the run, one database and one project for each test."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING
from unittest.mock import patch

import httpx
import pytest
from httpx._transports import default as httpx_transport
from hypothesis import settings

from common import ids
from common.lifecycle import aclose_all
from common.redis.client import redis_client
from tests.canaries import Watch, canaries, in_files, log_files
from tests.gateways import RunningGateway, running_gateway
from tests.stack import Stack, make_template, own_database, with_database
from tools.gateway_process import free_port
from tools.local.cloud import LocalCloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

settings.register_profile("raptorflow", deadline=None)  # the machine may be busy
settings.load_profile("raptorflow")


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Each of thousands of clients would read them for 50 ms; all of them speak unencrypted to this machine."""
    with patch.object(httpx_transport, "create_ssl_context", functools.cache(httpx.create_ssl_context)):
        yield


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The local cloud, on free ports, for the whole run."""
    made = LocalCloud(tmp_path_factory.mktemp("cloud"), fast=True)
    watch = Watch(canaries(made.root))
    logging.getLogger().addHandler(watch)
    try:
        made.up()
        make_template(made)
        yield made
    finally:
        logging.getLogger().removeHandler(watch)
        made.down()
    told = watch.told | in_files(log_files(tmp_path_factory.getbasetemp()), canaries(made.root))
    assert not told, sorted(told)


@pytest.fixture
async def stack(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """The environment of a deployed function, with a database and a project of its own, and an empty Redis."""
    name = f"test-{ids.new_id()[:13]}"
    with own_database(cloud, name) as admin_url:
        environment = cloud.environment()
        environment["DATABASE_URL"] = with_database(environment["DATABASE_URL"], name)
        environment["GOOGLE_CLOUD_PROJECT"] = name
        environment["RESEND_API_KEY"] += f".{name}"
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        made = Stack(environment, admin_url)
        await made.make_topics()
        await redis_client().execute("FLUSHALL")  # of all that tests share: whoever was limited is not any more
        try:
            yield made
        finally:
            await aclose_all()


@pytest.fixture
def gateways(stack: Stack, cloud: LocalCloud, tmp_path: Path) -> Callable[[], AbstractContextManager[RunningGateway]]:
    """Start gateways on the test's database and project, one after the other, on the same port."""
    del stack  # its environment is what they inherit
    port = free_port(0)
    return lambda: running_gateway(cloud, port, tmp_path / "gateway.log")


@pytest.fixture
def gateway(gateways: Callable[[], AbstractContextManager[RunningGateway]]) -> Iterator[RunningGateway]:
    """A running gateway."""
    with gateways() as running:
        yield running
