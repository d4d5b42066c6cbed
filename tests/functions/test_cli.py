"""Each function alone, as it is deployed: the stock command, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.functions.strangers import REQUESTS, answered
from tests.stock_command import stock_command
from tools.manifest_model import load

if TYPE_CHECKING:
    from tests.stack import Stack

PROGRAMS = Path(sys.executable).parent
HERE = {"PYTHONPATH": str(Path.cwd())}
"""In the repository ``common`` lies beside the functions; in an artefact it lies beside ``main.py``."""
NAMES = {function.source: name for name, function in load(Path("functions.json")).functions.items()}
FUNCTIONS = sorted(path.parent for path in Path("functions").glob("*/*/main.py"))


@pytest.mark.parametrize("source", FUNCTIONS, ids=lambda source: source.name)
def test_the_stock_command_serves_the_sample(source: Path, stack: Stack) -> None:
    sample = json.loads((source / "sample.json").read_text())
    request = sample["request"]
    with stock_command(source.resolve(), PROGRAMS, {**os.environ, **HERE, **sample["environment"]}) as (url, process):
        answer = httpx.request(
            request["method"], url + request["path"], headers=request["headers"], content=request["body"], timeout=30
        )
        refused = httpx.get(url)
        port = int(url.rpartition(":")[2])
        strangers = {sent[:80]: answered(port, sent) for sent in REQUESTS}
        process.terminate()
        output = process.communicate(timeout=15)[0].decode()
    assert answer.status_code == sample["response"]["status"], output
    assert refused.status_code == (401 if source.parent.name == "api" else 405)
    assert {sent: status for sent, status in strangers.items() if status and not 400 <= status <= 499} == {}
    assert process.returncode == 0, output
    assert f"function={NAMES[str(source)]} " in output  # logs and dead letters call it as the manifest does
    assert "Traceback" not in output
    assert "someone@upi" not in output
    assert "XXXXXXX20000" not in output
    assert not request["body"] or request["body"] not in output


SLOW = """
import asyncio
from common.functions import Request, serve, webhook

@webhook(timeout=60)
async def slow(request: Request) -> None:
    \"\"\"Take as long as the body says.\"\"\"
    await asyncio.sleep(float(request.body))

main = serve(slow)
"""


@pytest.fixture
def slow_function(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(SLOW)
    return tmp_path


def _terminated(slow_function: Path, seconds: str) -> tuple[int, float, int]:
    """Post, send SIGTERM meanwhile; the answer, how long it took from the signal, and the exit code."""
    answers: list[Any] = []
    with stock_command(slow_function, PROGRAMS, HERE) as (url, process):
        headers = {"content-type": "application/json"}
        posting = threading.Thread(
            target=lambda: answers.append(httpx.post(url, content=seconds, headers=headers, timeout=40))
        )
        posting.start()
        time.sleep(0.7)
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        posting.join()
        took = time.monotonic() - signalled
        process.communicate(timeout=15)
    return answers[0].status_code, took, process.returncode


def test_work_that_ends_soon_after_sigterm_is_answered(slow_function: Path) -> None:
    status, took, code = _terminated(slow_function, "2")
    assert (status, code) == (200, 0)
    assert took < 5


def test_work_that_would_not_end_is_handed_back_before_the_platform_kills(slow_function: Path) -> None:
    status, took, code = _terminated(slow_function, "30")
    assert (status, code) == (503, 0)
    assert 7 < took < 10
