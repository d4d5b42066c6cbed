"""What stands in front of a deployed function, played locally: URLs, IAM, schedules, reload."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.serving import serving
from tests.tools.gateway import ticked
from tools.gateway import SIGNATURE_REMOVED
from tools.local.environment import INVOKER
from tools.local.identity import Identity
from tools.manifest_model import Trigger, load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateways import RunningGateway
    from tests.stack import Stack
    from tools.local.cloud import LocalCloud
    from tools.manifest_model import Manifest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
async def gateway_url(cloud: LocalCloud, stack: Stack) -> AsyncIterator[str]:
    async with serving(load(REPOSITORY / "functions.json"), cloud, stack) as url:
        yield url


async def request(method: str, url: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(method, url, timeout=30, **options)


async def test_the_index_lists_every_function(gateway_url: str) -> None:
    index = (await request("GET", gateway_url)).json()
    assert set(index) == set(json.loads((REPOSITORY / "functions.json").read_text())["functions"])
    assert index["webhook-phonepe"]["url"] == f"{gateway_url}/webhook-phonepe"


@pytest.mark.parametrize("path", ["/nowhere", "/webhook-phonepe/below", "//webhook-phonepe", "/webhook"])
async def test_only_exact_paths_answer_and_none_redirects(gateway_url: str, path: str) -> None:
    assert (await request("POST", gateway_url + path)).status_code == 404


async def test_a_trailing_slash_is_the_functions_own_root_as_deployed(gateway_url: str) -> None:
    assert (await request("POST", f"{gateway_url}/webhook-phonepe/", json={})).status_code == 401


async def test_a_public_function_answers_for_itself(gateway_url: str) -> None:
    assert (await request("GET", f"{gateway_url}/webhook-phonepe")).status_code == 405
    assert (await request("POST", f"{gateway_url}/webhook-phonepe", json={})).status_code == 401


async def test_iam_admits_only_a_signed_token_for_this_url(gateway_url: str, cloud: LocalCloud, tmp_path: Path) -> None:
    url = f"{gateway_url}/event-on-dead-letter"
    identity, stranger = Identity(cloud.root), Identity(tmp_path)

    async def answered(token: str | None) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return (await request("POST", url, json={}, headers=headers)).status_code

    assert await answered(None) == 403
    assert await answered("nonsense") == 403
    assert await answered(stranger.sign(INVOKER, url)) == 403
    assert await answered(identity.sign(INVOKER, f"{gateway_url}/event-on-phonepe-event")) == 403
    header, claims, _ = identity.sign(INVOKER, url).split(".")
    assert await answered(f"{header}.{claims}.{SIGNATURE_REMOVED}") == 403
    forged = base64.urlsafe_b64encode(b'{"email": "' + INVOKER.encode() + b'"}').decode().rstrip("=")
    assert await answered(f"{header}.{forged}.x") == 403
    # Past IAM, the function itself looks at who it is, and at what was sent.
    assert await answered(identity.sign("someone@else.example", url)) == 403
    assert await answered(identity.sign(INVOKER, url)) == 400


async def test_the_function_sees_the_claims_and_no_signature(cloud: LocalCloud, stack: Stack) -> None:
    async with serving(scheduled(), cloud, stack) as url:
        token = Identity(cloud.root).sign(INVOKER, f"{url}/job-ticked")
        ticked.requests.clear()
        await request("POST", f"{url}/job-ticked", headers={"authorization": f"Bearer {token}"})
    (_, headers) = ticked.requests[0]
    assert headers["authorization"] == f"Bearer {token.rpartition('.')[0]}.{SIGNATURE_REMOVED}"


def scheduled() -> Manifest:
    """The manifest of one scheduled job, whose module stands beside this test."""
    manifest = load(REPOSITORY / "functions.json")
    some = manifest.functions["event-on-dead-letter"]
    trigger = Trigger(kind="schedule", schedule="*/5 * * * *", time_zone="Asia/Kolkata")
    job = replace(some, name="job-ticked", source="tests/tools/gateway/ticked", trigger=trigger)
    return replace(manifest, functions={"job-ticked": job})


@pytest.fixture(autouse=True)
def _ticked_main(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = ModuleType("tests.tools.gateway.ticked.main")
    module.main = ticked.main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


async def test_a_schedule_of_the_manifest_is_fired_as_cloud_scheduler_does(cloud: LocalCloud, stack: Stack) -> None:
    ticked.requests.clear()
    async with serving(scheduled(), cloud, stack) as url:
        assert (await request("GET", url)).json()["job-ticked"]["schedule"] == "*/5 * * * *"
        assert (await request("POST", f"{url}/_local/run/job-ticked")).status_code == 202
        assert (await request("POST", f"{url}/_local/run/nobody")).status_code == 404
        assert (await request("GET", f"{url}/_local/run/job-ticked")).status_code == 405
    ((method, headers),) = ticked.requests
    assert method == "POST"
    assert headers["x-cloudscheduler"] == "true"
    assert headers["x-cloudscheduler-jobname"] == "job-ticked"
    assert headers["x-cloudscheduler-scheduletime"].endswith(":00Z")


def test_the_gateway_ends_with_whoever_started_it(gateway: RunningGateway) -> None:
    assert gateway.process.stdin is not None
    gateway.process.stdin.close()
    assert gateway.process.wait(10) is not None


def test_help_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tools.gateway import main

    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--reload" in capsys.readouterr().out
    assert main(["--manifest", str(tmp_path / "none.json")]) == 2
    assert "make manifest" in capsys.readouterr().err
    assert main(["--root", str(tmp_path / "none")]) == 1
    assert "is not up: run `python -m tools.local up`" in capsys.readouterr().err
