"""Real processes that ask for one value at the same time: it is made once, and a process that is killed is replaced."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.redis import CacheService
from tests.redis.cache_caller import CALLERS, LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.redis.client import RedisClient

ROOT = Path(__file__).parents[2]
PROCESSES = 4


class Callers:
    """Processes of 25 callers each, connected and waiting for the word."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        command = [sys.executable, "-m", "tests.redis.cache_caller", str(runs)]
        self.processes = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        assert [self._line(process) for process in self.processes] == ["ready\n"] * PROCESSES

    def go(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def kill_the_leader(self) -> int:
        ends = time.monotonic() + 10
        while not self.runs():
            assert time.monotonic() < ends
            time.sleep(0.01)
        (leader,) = (process for process in self.processes if process.pid == self.runs()[0])
        leader.kill()
        self.processes.remove(leader)
        leader.communicate()
        return leader.pid

    def answers(self) -> list[dict[str, int]]:
        return [answer for process in self.processes for answer in json.loads(self._line(process))]

    def runs(self) -> list[int]:
        return [int(line) for line in self._runs.read_text().splitlines()] if self._runs.exists() else []

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def callers(client: RedisClient, tmp_path: Path) -> Iterator[Callers]:
    made = Callers(tmp_path / "runs")
    yield made
    made.end()


async def test_a_hundred_callers_in_four_processes_make_a_value_once(client: RedisClient, callers: Callers) -> None:
    everybody = PROCESSES * CALLERS
    callers.go()
    answers = callers.answers()
    (first,) = callers.runs()
    assert answers == [{"made by": first}] * everybody
    callers.go()
    assert callers.answers() == [{"made by": first}] * everybody, "it is there"
    await CacheService().clear_workspace("w")
    callers.go()
    answers = callers.answers()
    _, second = callers.runs()
    assert answers == [{"made by": second}] * everybody
    await CacheService().invalidate_tag("w", "t")
    callers.go()
    answers = callers.answers()
    *_, third = callers.runs()
    assert answers == [{"made by": third}] * everybody
    assert len(callers.runs()) == 3


async def test_a_process_that_is_killed_is_replaced_by_one_other(client: RedisClient, callers: Callers) -> None:
    callers.go()
    killed, began = callers.kill_the_leader(), time.monotonic()
    answers = callers.answers()
    assert time.monotonic() - began < LEASE_SECONDS + 5
    first, second = callers.runs()
    assert first == killed
    assert answers == [{"made by": second}] * ((PROCESSES - 1) * CALLERS)
