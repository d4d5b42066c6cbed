"""The gateway while code and manifest are edited: it starts again, or says why it does not and serves on."""

from __future__ import annotations

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from tests.gateways import running_gateway
from tools import gateway_manifest
from tools.gateway_manifest import BrokenManifestError, check, keep
from tools.gateway_process import free_port
from tools.manifest import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gateways import RunningGateway
    from tests.stack import Stack
    from tools.local.cloud import LocalCloud

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A tree to edit."""
    for name in ("common", "functions", "tools"):
        shutil.copytree(REPOSITORY / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("functions.json", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def running(copy: Path, cloud: LocalCloud, stack: Stack, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway of that tree that reloads."""
    del stack
    with running_gateway(cloud, free_port(0), tmp_path / "gateway.log", reload=True, folder=copy) as started:
        yield started


def eventually(running: RunningGateway, holds: Callable[[], object]) -> None:
    """Wait until ``holds``; while the gateway starts again nobody answers."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(running.lines())


def edit(copy: Path, function: str, **trigger: Any) -> None:
    """Change a function's trigger, in the manifest only."""
    manifest = json.loads((copy / "functions.json").read_text())
    manifest["functions"][function]["trigger"].update(trigger)
    (copy / "functions.json").write_text(json.dumps(manifest))


def schedule(running: RunningGateway) -> str:
    served: str = httpx.get(running.url).json()["job-repair-documents"]["schedule"]
    return served


def refusal(running: RunningGateway) -> str:
    said: str = httpx.post(f"{running.url}/webhook-phonepe", json={}).json()["detail"]
    return said


def refuse_with(copy: Path, said: str) -> None:
    """Change a function's code."""
    source = copy / "functions/webhooks/phonepe/main.py"
    source.write_text(source.read_text().replace("raise Unverified", f'raise Rejected(401, "{said}")'))


def test_an_edited_function_is_served_without_a_restart(running: RunningGateway, copy: Path) -> None:
    assert refusal(running) == "the request is not authenticated"
    refuse_with(copy, "who are you")
    eventually(running, lambda: refusal(running) == "who are you")


def test_an_edited_manifest_is_served_and_wired_and_told_to_be_stale(
    running: RunningGateway, copy: Path, stack: Stack
) -> None:
    project, host = (stack.environment[name] for name in ("GOOGLE_CLOUD_PROJECT", "PUBSUB_EMULATOR_HOST"))
    edit(copy, "event-on-payment-refunded", topic="webhook-phonepe", filter='attributes.kind = "refund"')
    edit(copy, "job-repair-documents", schedule="11 7 * * *")
    eventually(running, lambda: schedule(running) == "11 7 * * *")
    with grpc.insecure_channel(host) as channel:
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        name = f"projects/{project}/subscriptions/event-on-payment-refunded"
        wired = subscriber.get_subscription(subscription=name, retry=None, timeout=5)
    assert (wired.topic, wired.filter) == (f"projects/{project}/topics/webhook-phonepe", 'attributes.kind = "refund"')
    eventually(running, lambda: "functions.json is stale, the code says otherwise" in running.lines())


def test_a_broken_manifest_is_told_and_the_last_good_one_is_served_on(running: RunningGateway, copy: Path) -> None:
    edit(copy, "job-repair-documents", schedule="11 7 * * *")
    eventually(running, lambda: schedule(running) == "11 7 * * *")
    good = (copy / "functions.json").read_text()
    edit(copy, "job-repair-documents", schedule="11 7 * * 1")
    eventually(running, lambda: "write weekdays by name" in running.lines())
    (copy / "functions.json").write_text(good[:-9])
    eventually(running, lambda: "JSONDecodeError" in running.lines())
    assert running.lines().count("the last good one is served") == 2
    assert schedule(running) == "11 7 * * *"
    refuse_with(copy, "who are you")  # it starts again while the file is broken
    eventually(running, lambda: refusal(running) == "who are you")
    assert schedule(running) == "11 7 * * *"
    (copy / "functions.json").write_text(good.replace("11 7 * * *", "12 8 * * *"))
    eventually(running, lambda: schedule(running) == "12 8 * * *")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "x"}, "job-repair-documents: a schedule has five fields"),
        ({"kind": "pubsub", "topic": "nowhere"}, "job-repair-documents: there is no topic 'nowhere'"),
        ({"filter": "attributes."}, "job-repair-documents: "),
        ({"unknown": 1}, "TypeError"),
    ],
)
def test_what_cannot_be_served_is_named_and_not_kept(
    copy: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(copy)
    manifest, kept = copy / "functions.json", copy / "kept" / "functions.json"
    keep(manifest, kept)
    before = kept.read_bytes()
    edit(copy, "job-repair-documents", **changes)
    with pytest.raises(BrokenManifestError, match=f"functions.json is broken, run `make manifest`: .*{said}"):
        keep(manifest, kept)
    assert kept.read_bytes() == before


def test_a_manifest_that_vanishes_while_it_is_compared_ends_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where an editor or a checkout deletes it and writes it anew."""
    monkeypatch.chdir(copy)
    manifest, kept, stop = copy / "functions.json", copy / "kept" / "functions.json", threading.Event()
    content = manifest.read_bytes()
    looks = 0

    def compared(root: Path) -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            manifest.unlink()
        else:
            stop.set()
        return build(root)

    monkeypatch.setattr(gateway_manifest, "build", compared)
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(gateway_manifest.follow, manifest, kept, stop)
        while "cannot be compared" not in capsys.readouterr().err:
            assert not following.done()
            time.sleep(0.05)
        manifest.write_bytes(content)
        following.result(30)
    assert looks == 2


def test_a_function_whose_code_is_gone_cannot_be_served(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    shutil.rmtree(copy / "functions/jobs/repair_documents")
    with pytest.raises(BrokenManifestError, match=r"functions/jobs/repair_documents/main\.py is not there"):
        check(copy / "functions.json")
