"""Google's emulator: where its jar is, and how it is run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

JAR_VARIABLE = "PUBSUB_EMULATOR_JAR"

_JARS = "platform/pubsub-emulator/lib/cloud-pubsub-emulator*.jar"


def find_jar() -> Path | None:
    named = os.environ.get(JAR_VARIABLE)
    if named:
        return Path(named)
    gcloud = shutil.which("gcloud")
    roots = [Path(gcloud).resolve().parent.parent] if gcloud else []
    roots += [Path("/usr/lib/google-cloud-sdk"), Path("/opt/google-cloud-sdk"), Path.home() / "google-cloud-sdk"]
    roots += [Path("/usr/local/share/google-cloud-sdk"), Path("/opt/homebrew/share/google-cloud-sdk")]
    return next((jar for root in roots for jar in sorted(root.glob(_JARS), reverse=True)), None)


def why_not() -> str | None:
    """Why the emulator cannot run here; None if it can."""
    if find_jar() is None:
        return f"Google's Pub/Sub emulator is not installed (gcloud components, or {JAR_VARIABLE}=<its jar>)"
    if shutil.which("java") is None:
        return "Google's Pub/Sub emulator needs java"
    return None


@contextmanager
def running_emulator(log: Path) -> Iterator[str]:
    """Its address, once it answers."""
    jar = find_jar()
    assert jar is not None
    address = f"127.0.0.1:{_free_port()}"
    command = ["java", "-Xmx256m", "-jar", str(jar), "--host=127.0.0.1", f"--port={address.rpartition(':')[2]}"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait(process, address)
            yield address
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < end:
        with grpc.insecure_channel(address) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=1)
            except grpc.FutureTimeoutError:
                continue
            return
    raise RuntimeError(f"Google's Pub/Sub emulator does not answer at {address}; see its log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
