from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from tests.tools.local.pubsub.emulator import running_emulator, why_not
from tests.tools.local.pubsub.known_differences import KNOWN_DIFFERENCES
from tests.tools.local.pubsub.project import Project, new_project
from tests.tools.local.receiver import Receiver, running_receiver
from tools.local.pubsub import Server, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@dataclass
class Signer:
    """What the pushes of our server are signed with: readable tokens, and what was asked for."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, email: str, audience: str) -> str:
        self.asked.append((email, audience))
        return f"token-{len(self.asked)}"


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
async def ours(signer: Signer) -> AsyncIterator[Server]:
    server = await start(0, sign=signer)
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with running_emulator(tmp_path_factory.mktemp("pubsub") / "emulator.log") as address:
        yield address


@pytest.fixture
def known_difference(request: pytest.FixtureRequest) -> None:
    """Google's emulator must fail the tests that the table names, in an assertion, and only those."""
    if request.getfixturevalue("target_name") != "google":
        return
    reason = KNOWN_DIFFERENCES.get(cast("pytest.Function", request.node).originalname)
    if reason:
        request.applymarker(
            pytest.mark.xfail(reason=reason, strict=True, raises=(AssertionError, pytest.fail.Exception))
        )


@pytest.fixture(params=["ours", "google"])
def target_name(request: pytest.FixtureRequest) -> str:
    return cast("str", request.param)


@pytest.fixture
def target(target_name: str, known_difference: None, request: pytest.FixtureRequest) -> str:
    """The address of a Pub/Sub: every test that asks for it runs against ours and against Google's emulator."""
    if target_name == "google":
        return cast("str", request.getfixturevalue("google"))
    server: Server = request.getfixturevalue("ours")
    return f"127.0.0.1:{server.port}"


@pytest.fixture
async def project(target: str) -> AsyncIterator[Project]:
    """A project of the test's own in `target`."""
    async with new_project(target) as made:
        yield made


@pytest.fixture
async def local(ours: Server) -> AsyncIterator[Project]:
    """A project in our server, for what only we do."""
    async with new_project(f"127.0.0.1:{ours.port}") as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as made:
        yield made
