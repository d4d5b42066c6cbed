"""What every measurement works with: environments as the platform builds them, and the local cloud."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.pubsub_v1 import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from common import ids
from tools.local.cloud import LocalCloud
from tools.manifest import build
from tools.package import package
from tools.packaging.requirements import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tools.packaging.archive import Artifact


@dataclass
class Bench:
    """One run.

    Attributes:
        folder: for environments (kept between runs) and for what is served.
        rounds: of each measurement; one more before them warms the caches.
        say: tells progress.
    """

    folder: Path
    rounds: int
    say: Callable[[str], None]
    root: Path = field(default_factory=Path)
    _cloud: LocalCloud | None = None
    _environment: dict[str, str] = field(default_factory=dict)

    def artifacts(self) -> dict[str, Artifact]:
        """The functions of this repository, packed.

        Raises:
            RuntimeError: they cannot be.
        """
        made, problems = package(self.root)
        if problems:
            raise RuntimeError("\n".join(map(str, problems)))
        return {artifact.function: artifact for artifact in made}

    def functions(self) -> dict[str, Any]:
        """The manifest's functions."""
        document, _ = build(self.root)
        functions: dict[str, Any] = document["functions"]
        return functions

    def unpacked(self, artifact: Artifact) -> Path:
        """A folder that holds one function."""
        folder = self.folder / "functions" / artifact.function
        shutil.rmtree(folder, ignore_errors=True)
        zipfile.ZipFile(io.BytesIO(artifact.content)).extractall(folder)
        return folder

    def written(self, name: str, source: str) -> Path:
        """A folder that holds one ``main.py``."""
        folder = self.folder / "peers" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.py").write_text(source, encoding="utf-8")
        return folder

    def environment_of(self, groups: Iterable[str]) -> Path:
        """A virtual environment of some dependency groups."""
        return self.installed(Lock.from_file(self.root / "requirements.txt").requirements(groups))

    def installed(self, requirements: str) -> Path:
        """A virtual environment of some requirements, compiled as the platform compiles it; made once."""
        made = self.folder / "environments" / hashlib.sha256(requirements.encode()).hexdigest()[:12]
        done = made / "done"
        if not done.exists():
            self.say(f"installing {requirements.count('==')} packages, once")
            made.parent.mkdir(parents=True, exist_ok=True)
            wanted = made.with_suffix(".txt")
            wanted.write_text(requirements, encoding="utf-8")
            python = made / "bin" / "python"
            pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "--quiet", "install"]
            hashed = ["compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
            commands: tuple[list[str | Path], ...] = (
                [sys.executable, "-m", "venv", "--clear", "--without-pip", made],
                [*pip, "--disable-pip-version-check", "--require-hashes", "--no-compile", "--requirement", wanted],
                [python, "-m", *hashed, made / "lib"],
            )
            for command in commands:
                subprocess.run(command, check=True)
            done.touch()
        return made

    def cloud(self) -> dict[str, str]:
        """The environment of the local cloud, started at the first call, with a topic for each of the manifest's."""
        if not self._environment:
            self.say("starting the local cloud")
            self._cloud = LocalCloud(self.folder / "cloud", fast=True)
            self._cloud.up()
            self._environment = self._cloud.environment()
            self._environment["GOOGLE_CLOUD_PROJECT"] = f"benchmark-{ids.new_id()[:8]}"
            asyncio.run(self._make_topics())
        return self._environment

    def close(self) -> None:
        """Stop what was started."""
        if self._cloud is not None:
            self._cloud.down()

    async def _make_topics(self) -> None:
        document, _ = build(self.root)
        async with grpc.aio.insecure_channel(self._environment["PUBSUB_EMULATOR_HOST"]) as channel:
            publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
            for topic in document["topics"]:
                name = f"projects/{self._environment['GOOGLE_CLOUD_PROJECT']}/topics/{topic}"
                await publisher.create_topic(name=name, retry=None, timeout=5)
